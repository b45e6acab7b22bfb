package child

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"

	"perstack-shipper/shipper/journal"
)

// Group is the process group of a command that outlived its shipper. It is Guarded; make it with FindGroup.
type Group struct {
	id   int
	dir  string
	held atomic.Bool
}

// FindGroup finds the process group that writes what is in dir, the folder of an input: nil if none of the group has a file open there, for its id may be
// another's by now. It is Held when it is stopped, as the guard of a process that is no more may have left it.
func FindGroup(id int, dir string) *Group {
	g := &Group{id: id, dir: dir}
	writes, stopped := g.look()
	if !writes {
		return nil
	}
	g.held.Store(stopped)
	return g
}

// look asks the kernel whether the group still writes, and whether some of it is stopped.
func (g *Group) look() (writes, stopped bool) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || g.id <= 1 {
		return false, false
	}
	for _, stat := range stats {
		state, of := stateOf(stat)
		if of != g.id {
			continue
		}
		stopped = stopped || state == "T"
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(stat))); err == nil {
			writes = writes || journal.HasOpen(pid, g.dir)
		}
	}
	return writes, stopped
}

// Hold stops the group until Release, if it is still there.
func (g *Group) Hold() { g.signal(syscall.SIGSTOP) }

// Release continues it, if it is still there.
func (g *Group) Release() { g.signal(syscall.SIGCONT) }

func (g *Group) signal(s syscall.Signal) {
	if writes, _ := g.look(); writes {
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

// stateOf is the state and the process group that a stat file of /proc names: the first and the third field behind the name, which may hold anything.
// proc_pid_stat(5)
func stateOf(stat string) (state string, group int) {
	data, err := os.ReadFile(stat)
	if err != nil {
		return "", 0 // it has ended
	}
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	if len(fields) < 3 {
		return "", 0
	}
	if group, err = strconv.Atoi(string(fields[2])); err != nil {
		return "", 0
	}
	return string(fields[0]), group
}
