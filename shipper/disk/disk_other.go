//go:build unix && !linux

package disk

import (
	"errors"
	"math"
	"os"
)

// HasMemfds says that this system has no files in memory.
const HasMemfds = false

// Punch is not supported here.
func Punch(*os.File, int64, int64) error { return errors.ErrUnsupported }

// Reserve is not supported here.
func Reserve(*os.File, int64, int64) error { return errors.ErrUnsupported }

// Free reports that the free space is not known.
func Free(*os.File) (free int64, known bool, err error) { return 0, false, nil }

// NextHole reports no holes.
func NextHole(*os.File, int64) int64 { return math.MaxInt64 }

// NextData reports no holes.
func NextData(_ *os.File, off, _ int64) int64 { return off }

// FileSystem returns "", for not known.
func FileSystem(*os.File) string { return "" }

// Birth returns 0, for not known.
func Birth(*os.File) int64 { return 0 }

// Reopen is not supported here.
func Reopen(*os.File) (*os.File, error) { return nil, errors.ErrUnsupported }

// Memfd is not supported here.
func Memfd(string) (*os.File, error) { return nil, errors.ErrUnsupported }

// HasBytesOrWriter returns true, because it cannot tell.
func HasBytesOrWriter(*os.File) bool { return true }

// IsDying is not known here.
func IsDying(int) bool { return false }

// Splice is not supported here.
func Splice(int, int, int64, int64) (int, error) { return 0, errors.ErrUnsupported }

// HasWriter reports that it cannot tell.
func HasWriter(*os.File) (writer, known bool) { return true, false }

// ProcessWrites returns false, because it cannot tell.
func ProcessWrites(int, Identity, string) bool { return false }

// OthersWrite reports that it cannot tell.
func OthersWrite(Identity, string) (writer, known bool) { return true, false }
