//go:build !portable

package disk

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// HasMemfds says whether this system has files in memory: see [Memfd].
const HasMemfds = true

// Birth returns when f was created, in nanoseconds since 1970, or 0 if the file system does not
// record that.
func Birth(f *os.File) int64 {
	var st unix.Statx_t
	err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_BTIME, &st)
	if err != nil || st.Mask&unix.STATX_BTIME == 0 {
		return 0
	}
	return st.Btime.Sec*1e9 + int64(st.Btime.Nsec)
}

// Reopen opens the file of f for writing by its descriptor. The file's name may be gone.
func Reopen(f *os.File) (*os.File, error) {
	return os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), os.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
}

// Memfd makes a file in memory, which exists until its last descriptor is closed. name is the name
// that /proc shows and [os.File.Name] returns.
func Memfd(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a file in memory: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}
