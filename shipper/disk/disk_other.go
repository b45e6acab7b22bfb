//go:build unix && (!linux || portable)

package disk

import (
	"errors"
	"os"
)

// HasMemfds says that this system has no files in memory.
const HasMemfds = false

// Punch is not supported here.
func Punch(*os.File, int64, int64) error { return errors.ErrUnsupported }

// Reserve is not supported here.
func Reserve(*os.File, int64, int64) error { return errors.ErrUnsupported }

// FileSystem returns "", for not known.
func FileSystem(*os.File) string { return "" }

// Birth returns 0, for not known. APFS does without it: it never gives a file the number of an
// earlier one.
func Birth(*os.File) int64 { return 0 }

// Reopen is not supported here.
func Reopen(*os.File) (*os.File, error) { return nil, errors.ErrUnsupported }

// Memfd is not supported here.
func Memfd(string) (*os.File, error) { return nil, errors.ErrUnsupported }

// EnlargePipe does nothing, because all pipes have one capacity here.
func EnlargePipe(*os.File, int) {}

// InPipe returns the most that a pipe holds here, because it cannot tell how much is in f.
func InPipe(*os.File) int { return 64 << 10 }

// HasBytesOrWriter returns true, because it cannot tell.
func HasBytesOrWriter(*os.File) bool { return true }

// IsDying is not known here.
func IsDying(int) bool { return false }

// Splice is not supported here.
func Splice(int, int, int64, int64) (int, error) { return 0, errors.ErrUnsupported }

// KnowsWriters says that this system does not tell who has a file or a FIFO open for writing.
const KnowsWriters = false

// HasWriter reports that it cannot tell.
func HasWriter(*os.File) (writer, known bool) { return true, false }

// ProcessWrites returns false, because it cannot tell.
func ProcessWrites(int, Identity, string) bool { return false }

// OthersWrite reports that it cannot tell.
func OthersWrite(Identity, string) (writer, known bool) { return true, false }
