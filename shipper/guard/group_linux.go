//go:build !portable

package guard

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
)

// Group is the process group of a command that outlived its shipper. It is a [Command]; make it
// with [FindGroup].
type Group struct {
	id      int
	output  Written // the command's stdout
	stopped atomic.Bool
	members []member // found by the latest look
}

// member is a process of a group. The kernel does not give the group's id to another group while a
// member is left. So if any member that an earlier look found is still there, the group is the
// same.
type member struct {
	pid   int
	began string
}

// FindGroup returns the process group id if one of its processes writes output. Otherwise it
// returns nil, because the id may belong to another group by now. It also returns nil if this
// process is in the group, because it must not stop itself. The group is Stopped if the guard of a
// killed shipper left it stopped.
func FindGroup(id int, output Written) *Group {
	g := &Group{id: id, output: output}
	is, stopped := g.look()
	if !is {
		return nil
	}
	g.stopped.Store(stopped)
	return g
}

// look reports whether the group is still the one that was found, and whether a process of it is
// stopped. The process that wrote the output may have ended and left others that are stopped, so
// look recognises the group by its members as well.
func (g *Group) look() (is, stopped bool) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || g.id <= 1 {
		return false, false
	}
	var members []member
	for _, stat := range stats {
		state, of, began := stateOf(stat)
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
		if of != g.id || err != nil {
			continue
		}
		if pid == os.Getpid() {
			return false, false
		}
		m := member{pid, began}
		members = append(members, m)
		stopped = stopped || state == "T"
		is = is || slices.Contains(g.members, m) || g.output.WrittenBy(pid)
	}
	if is {
		g.members = members
	}
	return is, stopped
}

// Stop stops the group until Continue, if it is still there.
func (g *Group) Stop() { g.signal(syscall.SIGSTOP) }

// Continue continues the group, if it is still there.
func (g *Group) Continue() { g.signal(syscall.SIGCONT) }

func (g *Group) signal(s syscall.Signal) {
	if is, _ := g.look(); is {
		_ = syscall.Kill(-g.id, s) // an error means that the group has ended
	}
	g.stopped.Store(s == syscall.SIGSTOP)
}

// Stopped reports whether the group is stopped.
func (g *Group) Stopped() bool { return g.stopped.Load() }

// Warned returns false, because this process does not pass signals on to the group.
func (g *Group) Warned() bool { return false }

// Ended returns false, and Done is never closed. The group is not a child of this process; the
// journals of what it writes notice its end.
func (g *Group) Ended() bool { return false }

// Done returns nil.
func (g *Group) Done() <-chan struct{} { return nil }

// stateOf reads the state, the process group and the start time from a stat file of /proc. They are
// the first, third and twentieth field after the name, which may contain any characters. See
// proc_pid_stat(5).
func stateOf(stat string) (state string, group int, began string) {
	data, err := os.ReadFile(stat)
	if err != nil {
		return "", 0, "" // the process has ended
	}
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	if len(fields) < 20 {
		return "", 0, ""
	}
	if group, err = strconv.Atoi(string(fields[2])); err != nil {
		return "", 0, ""
	}
	return string(fields[0]), group, string(fields[19])
}
