package child

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFind(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	program := write("a/program", 0o755)
	write("a/data", 0o644)
	later := write("b/data", 0o755)
	write("c/only", 0o644)
	if err := os.Mkdir(filepath.Join(dir, "a/folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Join(dir, "a"))
	path := strings.Join([]string{filepath.Join(dir, "none"), program, filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "c")}, ":")
	for _, c := range []struct {
		name, path, want string
		code             int
	}{
		{"program", path, program, 0},
		{program, "", program, 0},
		{"./program", "", "./program", 0},
		{"program", "", "", CodeNotFound}, // without PATH
		{"program", ":" + path, "./program", 0},
		{"program", ".", "./program", 0},
		{"data", path, later, 0}, // what cannot be executed does not hide what can
		{"only", path, "", CodeNotExecutable},
		{"./data", path, "", CodeNotExecutable},
		{"./folder", path, "", CodeNotExecutable},
		{"folder", path, "", CodeNotFound},
		{"nothing", path, "", CodeNotFound},
		{"./nothing", path, "", CodeNotFound},
		{"./program/nothing", path, "", CodeNotFound},
	} {
		got, err := Find(c.name, c.path)
		code := 0
		if start, ok := errors.AsType[*StartError](err); ok {
			code = start.Code
		}
		if got != c.want || code != c.code || (err != nil) != (c.code != 0) {
			t.Errorf("%s in %q: %q, %v; want %q and code %d", c.name, c.path, got, err, c.want, c.code)
		}
	}
}
