package disk

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// HasMemfds says whether this system has files that are in memory: see [Memfd].
const HasMemfds = true

// Birth returns when f was made, in nanoseconds since 1970, and 0 where the file system does not
// keep that.
func Birth(f *os.File) int64 {
	var st unix.Statx_t
	err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_BTIME, &st)
	if err != nil || st.Mask&unix.STATX_BTIME == 0 {
		return 0
	}
	return st.Btime.Sec*1e9 + int64(st.Btime.Nsec)
}

// Reopen opens the file of f for writing by its descriptor: its name may be gone, or lie on a file
// system that is read-only by now.
func Reopen(f *os.File) (*os.File, error) {
	return os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), os.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
}

// Memfd makes a file in memory, which goes with its last descriptor. name is what /proc shows and
// [os.File.Name] returns.
func Memfd(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a file in memory: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}
