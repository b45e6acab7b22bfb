package follow

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// hasWriter asks for a read lease of f, which is open for reading only: the kernel grants it when nobody has the file open for writing. known is false where
// the file system has no leases, or the file is another user's.
func hasWriter(f *os.File) (writer, known bool) {
	_, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
	if err == nil {
		_, _ = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
		return false, true
	}
	return true, errors.Is(err, unix.EAGAIN)
}
