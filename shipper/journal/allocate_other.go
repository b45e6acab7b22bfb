//go:build unix && !linux

package journal

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

func punch(*os.File, int64, int64) error   { return errors.ErrUnsupported }
func reserve(*os.File, int64, int64) error { return errors.ErrUnsupported }

// blocksOf is what the file takes on disk, and the file system's block size.
func blocksOf(f *os.File) (allocated, block int64, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return 0, 0, fmt.Errorf("fstat %s: %w", f.Name(), err)
	}
	return int64(st.Blocks) * 512, int64(st.Blksize), nil
}

func diskFree(*os.File) (free int64, known bool, err error) { return 0, false, nil }

func reopen(*os.File) (*os.File, error) { return nil, errors.ErrUnsupported }

func firstData(*os.File) int64 { return 0 }

func fileSystem(*os.File) string { return "" }
