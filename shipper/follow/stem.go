package follow

// This file finds the files of a folder that belong together: run.jsonl is the stdout of a process,
// and run.log, run.err or run.stderr beside it is the stderr.

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"perstack-shipper/shipper/disk"
)

// matches reports whether a file of that name in a folder is followed, whatever is beside it.
func matches(name string) bool {
	ext := filepath.Ext(name)
	return ext == ".jsonl" || ext == ".log"
}

// isStderr reports whether a file's name is that of a stderr. In a folder, such a file is followed
// if a stdout with the same stem is there.
func isStderr(name string) bool {
	ext := filepath.Ext(name)
	return ext == ".err" || ext == ".stderr"
}

// Source returns what the file at path is known to be: "stderr", or "" for anything else.
func Source(path string) string {
	if isStderr(path) {
		return "stderr"
	}
	return ""
}

// JobOf returns the path of the file whose job the lines of the file at path belong to, until they
// name one. It returns "" if there is no such file.
func JobOf(path string) string {
	stem := strings.TrimSuffix(path, filepath.Ext(path))
	switch {
	case filepath.Ext(path) == ".log":
		return stem + ".jsonl"
	case !isStderr(path):
		return ""
	}
	if _, err := os.Stat(stem + ".jsonl"); err != nil {
		return stem + ".log"
	}
	return stem + ".jsonl"
}

// hasStdout reports whether entries, sorted by name, contain the stdout that belongs to the stderr
// name.
func hasStdout(entries []os.DirEntry, name string) bool {
	stem := strings.TrimSuffix(name, filepath.Ext(name))
	for _, ext := range []string{".jsonl", ".log"} {
		_, found := slices.BinarySearchFunc(entries, stem+ext, func(e os.DirEntry, name string) int { return strings.Compare(e.Name(), name) })
		if found {
			return true
		}
	}
	return false
}

// isFollowed reports whether the file at path is already followed.
func (s *Set) isFollowed(path string) bool {
	info, err := os.Stat(path)
	return err == nil && (s.byIdentity[disk.IdentityOf(info)] != nil || s.parkedBy[disk.IdentityOf(info)] != nil)
}
