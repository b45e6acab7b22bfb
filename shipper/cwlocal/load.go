package cwlocal

// This file loads the folder at start-up.

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"go.uber.org/zap"
)

// load reads every group. It leaves folders alone that do not hold a group.
func (f *folder) load() (map[string]*group, error) {
	entries, err := os.ReadDir(f.path)
	if err != nil {
		return nil, fmt.Errorf("%q cannot be read: %w", f.path, err)
	}
	groups := map[string]*group{}
	for _, e := range entries {
		path := filepath.Join(f.path, e.Name())
		switch {
		case !e.IsDir():
			continue
		case strings.HasPrefix(e.Name(), deleted):
			if err := os.RemoveAll(path); err != nil {
				f.log.Warn("cannot remove the folder of a deleted log group; remove it by hand", zap.String("folder", path), zap.Error(err))
			}
			continue
		}
		g, err := f.loadGroup(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			f.log.Warn("ignoring a folder without "+groupFile, zap.String("folder", path))
			continue
		case err != nil:
			return nil, err
		}
		groups[g.name] = g
	}
	return groups, nil
}

func (f *folder) loadGroup(path string) (*group, error) {
	line, err := os.ReadFile(filepath.Join(path, groupFile))
	if err != nil {
		return nil, fmt.Errorf("the log group in %q cannot be read: %w", path, err)
	}
	var l groupLine
	if err := json.Unmarshal(line, &l); err != nil || checkGroup(l.LogGroupName) != nil || fileName(l.LogGroupName) != filepath.Base(path) {
		return nil, fmt.Errorf("%q does not describe the log group of its folder; move the folder elsewhere", filepath.Join(path, groupFile))
	}
	g := &group{name: l.LogGroupName, created: l.CreationTime, retention: l.RetentionInDays, kmsKey: l.KMSKeyID, class: l.LogGroupClass,
		tags: l.Tags, streams: map[string]*stream{}, folder: path}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("the log group in %q cannot be read: %w", path, err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), streamSuffix) {
			continue
		}
		st, err := f.loadStream(g, filepath.Join(path, e.Name()))
		if err != nil {
			return nil, err
		}
		if st != nil {
			g.streams[st.name] = st
		}
	}
	return g, nil
}

// loadStream reads a stream's file. It cuts off a last line without a newline, which a crash
// leaves. A file without a complete first line is a stream whose creation was never answered:
// loadStream removes it and returns nil.
func (f *folder) loadStream(g *group, path string) (*stream, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("the log stream in %q cannot be read: %w", path, err)
	}
	defer file.Close()
	lines := bufio.NewReaderSize(file, 256<<10)
	var (
		st    *stream
		whole int64
		long  []byte // the beginning of a line longer than the reader's buffer
	)
	for n := 1; ; n++ {
		line, err := lines.ReadSlice('\n')
		for long = long[:0]; errors.Is(err, bufio.ErrBufferFull); line, err = lines.ReadSlice('\n') {
			long = append(long, line...)
		}
		if len(long) > 0 {
			long = append(long, line...)
			line = long
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("the log stream in %q cannot be read: %w", path, err)
		}
		if err != nil { // the end; the rest has no newline
			if len(line) == 0 {
				break
			}
			f.log.Warn("dropping the last line, which was cut short when the endpoint died", zap.String("file", path), zap.Int("bytes", len(line)))
			if err := file.Truncate(whole); err != nil {
				return nil, fmt.Errorf("the incomplete last line of %q cannot be removed; remove it by hand: %w", path, err)
			}
			break
		}
		whole += int64(len(line))
		if st == nil {
			var l streamLine
			if err := json.Unmarshal(line, &l); err != nil || checkStream(l.LogStreamName) != nil || fileName(l.LogStreamName)+streamSuffix != filepath.Base(path) {
				return nil, fmt.Errorf("line 1 of %q does not name the log stream of this file; move the file elsewhere", path)
			}
			st = newStream(g.name, l.LogStreamName, l.CreationTime)
			continue
		}
		e, err := parseEvent(line)
		if err != nil {
			return nil, fmt.Errorf("line %d of %q is not an event; remove the line: %w", n, path, err)
		}
		size := len(*e.Message)
		st.add(st.room(size, size), stored{timestamp: *e.Timestamp, ingestion: *e.IngestionTime}, *e.Message)
	}
	if st == nil {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("the empty file %q cannot be removed; remove it by hand: %w", path, err)
		}
		return nil, nil
	}
	st.file = &streamFile{path: path, size: whole}
	return st, nil
}

// parseEvent parses an event's line.
func parseEvent(line []byte) (e eventLine, err error) {
	switch err = json.Unmarshal(line, &e); {
	case err != nil:
		return e, err
	case !utf8.Valid(line):
		return e, errors.New("not valid UTF-8")
	case e.Timestamp == nil || e.IngestionTime == nil || *e.IngestionTime < 0 || e.Message == nil || *e.Message == "":
		return e, errors.New("timestamp, ingestionTime or message is missing")
	}
	return e, nil
}
