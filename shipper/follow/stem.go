package follow

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"perstack-shipper/shipper/disk"
)

// This file knows which files of a folder are one story: run.jsonl beside run.log, run.err or
// run.stderr is what one process wrote to stdout and stderr.

// matches reports whether a file of that name in a folder is followed, whatever is beside it.
func matches(name string) bool {
	ext := filepath.Ext(name)
	return ext == ".jsonl" || ext == ".log"
}

// isStderr reports whether a file is somebody's stderr, by its name. In a folder it is followed if
// the stdout of its stem is there.
func isStderr(name string) bool {
	ext := filepath.Ext(name)
	return ext == ".err" || ext == ".stderr"
}

// Source is what an input of that path is known to be: "stderr", or "".
func Source(path string) string {
	if isStderr(path) {
		return "stderr"
	}
	return ""
}

// JobOf is the path of the file whose job the lines of the file at path belong to while they know
// none, or "".
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

// hasStdout reports whether entries, sorted by name, have the stdout to which name is the stderr.
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

// isFollowed reports whether the file at path is one that is followed already.
func (s *Set) isFollowed(path string) bool {
	info, err := os.Stat(path)
	return err == nil && (s.byIdentity[disk.IdentityOf(info)] != nil || s.parkedBy[disk.IdentityOf(info)] != nil)
}
