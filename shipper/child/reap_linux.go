//go:build !portable

package child

import (
	"encoding/binary"
	"errors"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// reapOrphans takes the status of every zombie except the command, and except those that others in
// this process wait for. The AWS SDK starts processes to get credentials; they are in our process
// group, which no orphan is. If reapOrphans meets such a process, it stops there and returns true,
// because there may be orphans behind it.
func reapOrphans(command int) (more bool) {
	for {
		zombie := firstZombie()
		if zombie == 0 || zombie == command {
			return false
		}
		if group, err := unix.Getpgid(zombie); err == nil && group == ownGroup() {
			return true
		}
		if _, err := wait(zombie, nil, syscall.WNOHANG); err != nil {
			return false
		}
	}
}

// firstZombie returns a child of this process that has ended and does not reap it. It returns 0 if
// there is none.
func firstZombie() int {
	var info unix.Siginfo
	for {
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EINTR) {
			return 0 // ECHILD: there are none
		}
	}
	// struct siginfo has three ints, then a union that is aligned like a pointer and begins with
	// si_pid. See sigaction(2).
	const pointer = unsafe.Sizeof(uintptr(0))
	at := (3*4 + pointer - 1) / pointer * pointer
	raw := (*[unsafe.Sizeof(info)]byte)(unsafe.Pointer(&info))
	return int(int32(binary.NativeEndian.Uint32(raw[at:])))
}
