package child

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"

	"perstack-shipper/shipper/journal"
)

// Group is the process group of a command that outlived its shipper. It is Guarded; make it with FindGroup.
type Group struct {
	id      int
	output  *journal.Journal // the command's stdout
	held    atomic.Bool
	members []member // at the latest look
}

// member is a process of a group. While one is left that was there at a look, the group is the same: its id is not given away before.
type member struct {
	pid   int
	began string
}

// FindGroup finds the process group that writes the output j: nil if none of the group does, for its id may be another's by now, and if this process is one of
// it, which must not stop itself. It is Held when it is stopped, as the guard of a process that is no more may have left it.
func FindGroup(id int, j *journal.Journal) *Group {
	g := &Group{id: id, output: j}
	is, stopped := g.look()
	if !is {
		return nil
	}
	g.held.Store(stopped)
	return g
}

// look asks the kernel whether the group is still the one that was found, and whether some of it is stopped. Who wrote the output may be gone, and have left
// others that are stopped: so it is known by its members, too.
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

// Release continues it, if it is still there.
func (g *Group) Release() { g.signal(syscall.SIGCONT) }

func (g *Group) signal(s syscall.Signal) {
	if is, _ := g.look(); is {
		_ = syscall.Kill(-g.id, s) // an error says that it has ended
	}
	g.held.Store(s == syscall.SIGSTOP)
}

// Held reports whether it is stopped.
func (g *Group) Held() bool { return g.held.Load() }

// Warned is false: its signals are not ours.
func (g *Group) Warned() bool { return false }

// Ended is false, and Done is never closed: it is nobody's child here, and its journals say when it has ended.
func (g *Group) Ended() bool { return false }

// Done is nil.
func (g *Group) Done() <-chan struct{} { return nil }

// stateOf is the state, the process group and the time of the start that a stat file of /proc names: the first, third and twentieth field behind the name,
// which may hold anything. proc_pid_stat(5)
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
