package terminal

import (
	"os"

	"golang.org/x/sys/unix"
)

// usualColumns is taken for a terminal that does not say how wide it is.
const usualColumns = 80

// Columns is how many columns the terminal behind file has; 0 where file is no terminal. It leaves
// file's mode alone, which Fd would not.
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
