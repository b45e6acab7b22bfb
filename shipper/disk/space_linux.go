//go:build !portable

package disk

import (
	"errors"
	"fmt"
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
