//go:build !portable

package disk

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// IsDying reports whether the process pid was killed, or has ended, while the kernel has yet to
// close its files. Until then its locks and leases hold. See proc_pid_status(5).
func IsDying(pid int) bool {
	if pid <= 0 {
		return false
	}
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return false // it is gone, or belongs to another PID namespace
	}
	hasMemory := false
	for lines := bufio.NewScanner(bytes.NewReader(status)); lines.Scan(); {
		name, value, _ := bytes.Cut(lines.Bytes(), []byte(":"))
		value = bytes.TrimSpace(value)
		switch string(name) {
		case "State":
			if bytes.HasPrefix(value, []byte("Z")) || bytes.HasPrefix(value, []byte("X")) {
				return true
			}
		case "VmSize": // an ending process gives up its memory before its files
			hasMemory = true
		case "SigPnd", "ShdPnd":
			pending, err := strconv.ParseUint(string(value), 16, 64)
			if err == nil && pending&(1<<(unix.SIGKILL-1)) != 0 {
				return true
			}
		}
	}
	return !hasMemory
}
