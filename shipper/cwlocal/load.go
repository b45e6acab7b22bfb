package cwlocal

// Loading the folder at the start.

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

// load reads every group. Folders that are not a group's are left alone.
func (f *folder) load() (map[string]*group, error) {
	entries, err := os.ReadDir(f.path)
	if err != nil {
		return nil, fmt.Errorf("the folder %q cannot be read: %w", f.path, err)
	}
	groups := map[string]*group{}
	for _, e := range entries {
		path := filepath.Join(f.path, e.Name())
		switch {
		case !e.IsDir():
			continue
		case strings.HasPrefix(e.Name(), deleted):
			if err := os.RemoveAll(path); err != nil {
				f.log.Warn("a deleted log group's folder stays; remove it", zap.String("folder", path), zap.Error(err))
			}
			continue
		}
		g, err := f.loadGroup(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			f.log.Warn("a folder without "+groupFile+" is no log group; it is left alone", zap.String("folder", path))
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
		return nil, fmt.Errorf("%q does not describe the log group of its folder; move the folder away", filepath.Join(path, groupFile))
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

// loadStream reads a stream's file. A last line without its newline, left by a crash, is cut off. A
// file without even its first line is a stream whose creation was never answered: it is removed,
// and nil is returned.
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
		long  []byte // the beginning of a line that is longer than the reader's buffer
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
		if err != nil { // the end: what is left has no newline
			if len(line) == 0 {
				break
			}
			f.log.Warn("the last line was torn when the endpoint died; it is dropped", zap.String("file", path), zap.Int("bytes", len(line)))
			if err := file.Truncate(whole); err != nil {
				return nil, fmt.Errorf("the torn last line of %q cannot be taken off; take it off: %w", path, err)
			}
			break
		}
		whole += int64(len(line))
		if st == nil {
			var l streamLine
			if err := json.Unmarshal(line, &l); err != nil || checkStream(l.LogStreamName) != nil || fileName(l.LogStreamName)+streamSuffix != filepath.Base(path) {
				return nil, fmt.Errorf("line 1 of %q does not name the log stream of this file; move the file away", path)
			}
			st = newStream(g.name, l.LogStreamName, l.CreationTime)
			continue
		}
		e, err := parseEvent(line)
		if err != nil {
			return nil, fmt.Errorf("line %d of %q is no event; remove the line: %w", n, path, err)
		}
		size := len(*e.Message)
		st.add(st.room(size, size), stored{timestamp: *e.Timestamp, ingestion: *e.IngestionTime}, *e.Message)
	}
	if st == nil {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("the empty file %q cannot be removed; remove it: %w", path, err)
		}
		return nil, nil
	}
	st.file = &streamFile{path: path, size: whole}
	return st, nil
}

// parseEvent parses the line of an event.
func parseEvent(line []byte) (e eventLine, err error) {
	switch err = json.Unmarshal(line, &e); {
	case err != nil:
		return e, err
	case !utf8.Valid(line):
		return e, errors.New("it is not valid UTF-8")
	case e.Timestamp == nil || e.IngestionTime == nil || *e.IngestionTime < 0 || e.Message == nil || *e.Message == "":
		return e, errors.New("timestamp, ingestionTime or message is missing")
	}
	return e, nil
}
