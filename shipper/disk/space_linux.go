package disk

import (
	"errors"
	"fmt"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// Punch frees the blocks of n bytes of f at off. f must be open for writing. It keeps its size and
// reads as zeros there.
func Punch(f *os.File, off, n int64) error {
	return retryEINTR(func() error {
		return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
	})
}

// Reserve allocates blocks for n bytes of f at off. f keeps its size. Reserve returns
// [errors.ErrUnsupported] if the file system cannot do this.
func Reserve(f *os.File, off, n int64) error {
	err := retryEINTR(func() error {
		return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, off, n)
	})
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	return err
}

// Free returns how many bytes an unprivileged user may still write to the file system of f. known
// is false if the file system does not report it.
func Free(f *os.File) (free int64, known bool, err error) {
	var st unix.Statfs_t
	if err := retryEINTR(func() error { return unix.Fstatfs(int(f.Fd()), &st) }); err != nil {
		return 0, false, fmt.Errorf("statfs %s: %w", f.Name(), err)
	}
	return int64(st.Bavail) * st.Bsize, st.Blocks > 0, nil // a file system without blocks has no size, such as that of memfds
}

// NextHole returns the offset of the first hole at or after off. It returns [math.MaxInt64] if
// there is none or the file system does not report holes.
func NextHole(f *os.File, off int64) int64 {
	hole, err := unix.Seek(int(f.Fd()), off, unix.SEEK_HOLE)
	if err != nil {
		return math.MaxInt64
	}
	return hole
}

// NextData returns the offset of the first byte at or after off that is not in a hole, or end if
// there is none. It returns off if the file system does not report holes.
func NextData(f *os.File, off, end int64) int64 {
	data, err := unix.Seek(int(f.Fd()), off, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) { // the rest is a hole
		return end
	}
	if err != nil {
		return off
	}
	return data
}

// fileSystems are the names of the file system types of statfs(2).
var fileSystems = map[int64]string{
	unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs", unix.TMPFS_MAGIC: "tmpfs",
	unix.OVERLAYFS_SUPER_MAGIC: "overlay", unix.NFS_SUPER_MAGIC: "nfs", unix.FUSE_SUPER_MAGIC: "fuse", unix.V9FS_MAGIC: "9p",
	unix.F2FS_SUPER_MAGIC: "f2fs", unix.SMB2_SUPER_MAGIC: "smb2", unix.RAMFS_MAGIC: "ramfs", 0x2fc12fc1: "zfs",
}

// FileSystem returns the type of the file system of f, such as ext4 or nfs, or "" if it is not
// known.
func FileSystem(f *os.File) string {
	var st unix.Statfs_t
	if err := retryEINTR(func() error { return unix.Fstatfs(int(f.Fd()), &st) }); err != nil {
		return ""
	}
	return fileSystems[int64(st.Type)]
}

func retryEINTR(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
