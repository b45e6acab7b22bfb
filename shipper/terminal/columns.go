package terminal

import (
	"os"

	"golang.org/x/sys/unix"
)

// usualColumns is the width of a terminal that does not report one.
const usualColumns = 80

// Is reports whether file is a terminal.
func Is(file *os.File) bool { return Columns(file) > 0 }

// Columns returns the number of columns of the terminal behind file, or 0 if file is not a
// terminal. It does not change the mode of file, as Fd would: the agent may share it.
func Columns(file *os.File) (columns int) {
	raw, err := file.SyscallConn()
	if err != nil {
		return 0
	}
	err = raw.Control(func(fd uintptr) {
		size, err := unix.IoctlGetWinsize(int(fd), unix.TIOCGWINSZ)
		switch {
		case err != nil:
		case size.Col == 0:
			columns = usualColumns
		default:
			columns = int(size.Col)
		}
	})
	if err != nil {
		return 0
	}
	return columns
}
