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

// Find is the file that a command's name stands for, as in a shell: a name with a slash is a path,
// any other is looked for in path, the value of $PATH. The error is a *StartError.
func Find(name, path string) (string, error) {
	if strings.Contains(name, "/") {
		err := executable(name)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			return "", &StartError{name, CodeNotFound, "is not there: give the path of a program", nil}
		}
		if err != nil {
			return "", notExecutable(name, name, err)
		}
		return name, nil
	}
	var found string // it is there, and cannot be run
	var why error
	for _, dir := range filepath.SplitList(path) {
		file := filepath.Join(dir, name)
		if dir == "" || dir == "." { // an empty entry is the working folder; without a slash it would be looked up again
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
	return "", &StartError{name, CodeNotFound, "is not found in PATH: install it, or give its path", nil}
}

func notExecutable(name, file string, err error) error {
	return &StartError{name, CodeNotExecutable, fmt.Sprintf("cannot be executed: make %s a program with chmod +x, or name another", file), err}
}

// executable says why file cannot be run by this user.
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

// there reports whether file exists, as far as that can be seen: a folder of PATH that may not be
// searched holds nothing.
func there(file string) bool {
	info, err := os.Stat(file)
	return err == nil && !info.IsDir()
}

// startError is why the file could not be started after all.
func startError(name string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOEXEC):
		return &StartError{name, CodeNotExecutable, "is not a program that this machine can run: a script needs a first line such as #!/bin/sh", err}
	case errors.Is(err, fs.ErrNotExist):
		return &StartError{name, CodeNotExecutable, "cannot be started: the interpreter that its first line names is not there", err}
	}
	return &StartError{name, CodeNotExecutable, "cannot be started", err}
}
