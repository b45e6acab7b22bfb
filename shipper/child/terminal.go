package child

import (
	"os"

	"golang.org/x/sys/unix"
)

// terminal is the terminal that controls this process and the command. A nil one is none, and does
// nothing.
type terminal struct {
	fd  int
	own int // the process group that has it when the command has not
}

// terminalOf is the terminal that f is, if it is the one that controls this process.
func terminalOf(f *os.File) *terminal {
	t := &terminal{fd: int(descriptor(f)), own: ownGroup()}
	if _, ok := t.foreground(); !ok {
		return nil
	}
	return t
}

// foreground is the process group that may read the terminal.
func (t *terminal) foreground() (group int, ok bool) {
	group, err := unix.IoctlGetInt(t.fd, unix.TIOCGPGRP)
	return group, err == nil
}

// give lets the group read the terminal if this process may: a job in the background has nothing to
// give.
func (t *terminal) give(group int) {
	if t != nil {
		t.move(t.own, group)
	}
}

// takeBack is the opposite of give.
func (t *terminal) takeBack(group int) {
	if t != nil {
		t.move(group, t.own)
	}
}

func (t *terminal) move(from, to int) {
	if now, ok := t.foreground(); ok && now == from {
		// It fails when the group is gone; then the terminal is nobody's, and stays so.
		_ = unix.IoctlSetPointerInt(t.fd, unix.TIOCSPGRP, to)
	}
}
