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
	held    atomic.Bool
	members []member // at the latest look
}

// member is a process of a group. While one that was there at a look is left, the group is the
// same: its id is not given to another before.
type member struct {
	pid   int
	began string
}

// FindGroup returns the process group id if one of its processes writes output. Otherwise it
// returns nil, for the id may be another group's by now; so it does if this process belongs to the
// group, because it must not stop itself. The group is Held if it is stopped: the guard of a
// process that was killed may have left it so.
func FindGroup(id int, output Written) *Group {
	g := &Group{id: id, output: output}
	is, stopped := g.look()
	if !is {
		return nil
	}
	g.held.Store(stopped)
	return g
}

// look asks the kernel whether the group is still the one that was found, and whether some of it is
// stopped. The process that wrote the output may be gone and have left others that are stopped, so
// the group is known by its members, too.
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

// Hold stops the group until Release, if it is still there.
func (g *Group) Hold() { g.signal(syscall.SIGSTOP) }

// Release continues the group, if it is still there.
func (g *Group) Release() { g.signal(syscall.SIGCONT) }

func (g *Group) signal(s syscall.Signal) {
	if is, _ := g.look(); is {
		_ = syscall.Kill(-g.id, s) // an error says that it has ended
	}
	g.held.Store(s == syscall.SIGSTOP)
}

// Held reports whether the group is stopped.
func (g *Group) Held() bool { return g.held.Load() }

// Warned is false: this process does not pass signals on to the group.
func (g *Group) Warned() bool { return false }

// Ended is false, and Done is never closed: the group is not a child of this process, and its
// journals say when it has ended.
func (g *Group) Ended() bool { return false }

// Done returns nil.
func (g *Group) Done() <-chan struct{} { return nil }

// stateOf reads the state, the process group and the time of the start from a stat file of /proc:
// the first, third and twentieth field behind the name, which may hold anything. proc_pid_stat(5)
func stateOf(stat string) (state string, group int, began string) {
	data, err := os.ReadFile(stat)
	if err != nil {
		return "", 0, "" // it has ended
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
