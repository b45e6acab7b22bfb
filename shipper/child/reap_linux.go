package child

import (
	"encoding/binary"
	"errors"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// reapOrphans takes the status of every zombie but that of command, and those whom others in this
// process wait for: what the AWS SDK starts to get credentials has our process group, which no
// orphan has. It reports whether it met one of these, behind which more may be.
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

// firstZombie is a child of this process that has ended, left as it is; 0 for none.
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
	// struct siginfo: three ints, then a union that is aligned as a pointer is, and begins with
	// si_pid. sigaction(2)
	const pointer = unsafe.Sizeof(uintptr(0))
	at := (3*4 + pointer - 1) / pointer * pointer
	raw := (*[unsafe.Sizeof(info)]byte)(unsafe.Pointer(&info))
	return int(int32(binary.NativeEndian.Uint32(raw[at:])))
}
