package child

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// The exit codes of a shell for a command that it cannot run:
// https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html, 2.8.2.
const (
	CodeNotExecutable = 126
	CodeNotFound      = 127
)

// StartError says why a command cannot be run.
type StartError struct {
	Command string
	Code    int // CodeNotFound or CodeNotExecutable
	Problem string
	Err     error
}

func (e *StartError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("command %q %s", e.Command, e.Problem)
	}
	return fmt.Sprintf("command %q %s (%v)", e.Command, e.Problem, e.Err)
}

func (e *StartError) Unwrap() error { return e.Err }

// Find returns the file that a command's name stands for, as a shell does: a name with a slash is a
// path, and any other name is looked up in path, the value of $PATH. The error is a *StartError.
func Find(name, path string) (string, error) {
	if strings.Contains(name, "/") {
		err := executable(name)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			return "", &StartError{name, CodeNotFound, "does not exist: give the path of a program", nil}
		}
		if err != nil {
			return "", notExecutable(name, name, err)
		}
		return name, nil
	}
	var found string // a file that exists but cannot be executed
	var why error
	for _, dir := range filepath.SplitList(path) {
		file := filepath.Join(dir, name)
		// This is the working folder. Without a slash, exec would look the name up again.
		if dir == "" || dir == "." {
			file = "./" + name
		}
		switch err := executable(file); {
		case err == nil:
			return file, nil
		case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) && why == nil && there(file):
			found, why = file, err
		}
	}
	if why != nil {
		return "", notExecutable(name, found, why)
	}
	return "", &StartError{name, CodeNotFound, "is not in PATH: install it or give its path", nil}
}

func notExecutable(name, file string, err error) error {
	return &StartError{name, CodeNotExecutable, fmt.Sprintf("cannot be executed: make %s a program with chmod +x, or name another", file), err}
}

// executable returns why this user cannot execute file, or nil.
func executable(file string) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return syscall.EISDIR
	}
	return unix.Access(file, unix.X_OK)
}

// there reports whether file exists, as far as this user can see. A folder in PATH that may not be
// searched counts as empty.
func there(file string) bool {
	info, err := os.Stat(file)
	return err == nil && !info.IsDir()
}

// startError returns why the file could not be started, although Find has found it.
func startError(name string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOEXEC):
		return &StartError{name, CodeNotExecutable, "is not a program that this machine can run: a script needs a first line such as #!/bin/sh", err}
	case errors.Is(err, fs.ErrNotExist):
		return &StartError{name, CodeNotExecutable, "cannot be started: the interpreter named in its first line does not exist", err}
	}
	return &StartError{name, CodeNotExecutable, "cannot be started", err}
}
