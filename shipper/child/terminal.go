package child

import (
	"os"

	"golang.org/x/sys/unix"
)

// terminal is the terminal that controls this process and the command. A nil terminal means that
// there is none, and its methods do nothing.
type terminal struct {
	fd  int
	own int // our process group, which has the terminal when the command does not
}

// terminalOf returns f as a terminal if it is the one that controls this process, or nil.
func terminalOf(f *os.File) *terminal {
	t := &terminal{fd: int(descriptor(f)), own: ownGroup()}
	if _, ok := t.foreground(); !ok {
		return nil
	}
	return t
}

// foreground returns the process group that may read the terminal.
func (t *terminal) foreground() (group int, ok bool) {
	group, err := unix.IoctlGetInt(t.fd, unix.TIOCGPGRP)
	return group, err == nil
}

// give lets the group read the terminal if this process may read it. A job in the background has
// nothing to give.
func (t *terminal) give(group int) {
	if t != nil {
		t.move(t.own, group)
	}
}

// takeBack undoes give.
func (t *terminal) takeBack(group int) {
	if t != nil {
		t.move(group, t.own)
	}
}

func (t *terminal) move(from, to int) {
	if now, ok := t.foreground(); ok && now == from {
		// An error means that the group is gone. Then the terminal belongs to nobody, and stays so.
		_ = unix.IoctlSetPointerInt(t.fd, unix.TIOCSPGRP, to)
	}
}
