package child

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"perstack-shipper/shipper/journal"
)

// Continue continues a process group that is stopped, as the guard of a process that is no more may have left it, and reports whether it did. It does so
// only if one of the group has a file open below dir, the folder of what it writes: the id of the group may be another's by now.
func Continue(group int, dir string) bool {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || group <= 1 {
		return false
	}
	stopped, writes := false, false
	for _, stat := range stats {
		state, of := stateOf(stat)
		if of != group {
			continue
		}
		stopped = stopped || state == "T"
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(stat))); err == nil {
			writes = writes || journal.HasOpen(pid, dir)
		}
	}
	return stopped && writes && syscall.Kill(-group, syscall.SIGCONT) == nil
}

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
