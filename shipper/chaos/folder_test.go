//go:build linux

package chaos

// This file reads a journal folder after a process has died, from the files that the README
// describes.

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// kept is one input in the journal folder.
type kept struct {
	dir    string
	proc   string // the name of the process that created it
	id     string
	cursor int64 // offset up to which it is acknowledged
	size   int64 // offset after the last byte
}

// whatIsKept lists the inputs in a journal folder by the names of the processes that created them.
// It leaves out inputs that a kill left half created or half removed.
func whatIsKept(folder string) (map[string]kept, error) {
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	all := map[string]kept{}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		k := kept{dir: filepath.Join(folder, e.Name()), id: e.Name()}
		whole, err := k.read()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k.dir, err)
		}
		if whole {
			all[k.proc] = k
		}
	}
	return all, nil
}

// read fills k from its files. It reports false if the input is incomplete, for example because
// another process is removing it.
func (k *kept) read() (whole bool, err error) {
	var input struct{ Shift int64 } // only inputs that an agent writes directly have it
	record, err := os.ReadFile(filepath.Join(k.dir, "input"))
	if err != nil {
		return false, nil
	}
	if err := json.Unmarshal(record, &input); err != nil {
		return false, err
	}
	data, err := os.ReadFile(filepath.Join(k.dir, "about"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	var about struct {
		Shape struct {
			Fields []struct{ Name, Value string }
			Source string
		}
	}
	if err == nil {
		err = json.Unmarshal(data, &about)
	}
	if err != nil {
		return false, err
	}
	if len(about.Shape.Fields) == 0 {
		return false, fmt.Errorf("no fields in %s", data)
	}
	if k.proc = about.Shape.Fields[0].Value; about.Shape.Source == "stderr" {
		k.proc += ".err"
	}
	files, err := os.ReadDir(k.dir)
	if err != nil {
		return false, nil
	}
	var generation uint64
	for _, f := range files {
		path := filepath.Join(k.dir, f.Name())
		digits, suffix, _ := strings.Cut(f.Name(), ".")
		switch {
		case suffix == "segment" || suffix == "output":
			first, err := strconv.ParseInt(digits, 10, 64)
			info, ierr := f.Info()
			if err == nil && ierr == nil {
				k.size = max(k.size, first+info.Size()+input.Shift)
			}
		case strings.HasPrefix(f.Name(), "cursor."):
			offset, gen, ok := cursorIn(path)
			if ok && gen >= generation {
				k.cursor, generation = offset, gen
			}
		}
	}
	return true, nil
}

// cursorIn reads the head of a cursor file. It ignores the checksum: if a kill tore this file, the
// other one counts.
func cursorIn(path string) (offset int64, generation uint64, ok bool) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, 0, false
	}
	line, _, _ := strings.Cut(string(data), "\n")
	words := strings.Fields(line)
	if len(words) != 7 || words[0] != "cursor" {
		return 0, 0, false
	}
	generation, err = strconv.ParseUint(words[2], 16, 64)
	if err != nil {
		return 0, 0, false
	}
	offset, err = strconv.ParseInt(words[3], 10, 64)
	return offset, generation, err == nil
}

// rejected is an entry of a rejects.jsonl file in a journal folder.
type rejected struct {
	Seq             int64
	Reason, Message string
}

func whatIsRejected(folder string) ([]rejected, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*", "rejects.jsonl"))
	if err != nil {
		return nil, err
	}
	var all []rejected
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(data)) {
			var r rejected
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				return nil, fmt.Errorf("%s: %w: %s", file, err, line)
			}
			all = append(all, r)
		}
	}
	return all, nil
}
