package journal

// Space on a Linux file system: reserved ahead, punched out, counted.

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// punch gives the blocks of a range back; the file keeps its size and reads as zeros there. f is open for writing.
func punch(f *os.File, off, n int64) error {
	return retryEINTR(func() error {
		return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
	})
}

// reserve allocates blocks for a range; the file keeps its size. errors.ErrUnsupported where the file system cannot.
func reserve(f *os.File, off, n int64) error {
	err := retryEINTR(func() error {
		return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, off, n)
	})
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	return err
}

// blocksOf is what the file takes on disk, and the file system's block size.
func blocksOf(f *os.File) (allocated, block int64, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return 0, 0, fmt.Errorf("fstat %s: %w", f.Name(), err)
	}
	return st.Blocks * 512, int64(st.Blksize), nil // st_blocks counts 512 bytes always: stat(2)
}

// diskFree is what an unprivileged user may still write to the file system of f. known is false where it does not say.
func diskFree(f *os.File) (free int64, known bool, err error) {
	var st unix.Statfs_t
	if err := retryEINTR(func() error { return unix.Fstatfs(int(f.Fd()), &st) }); err != nil {
		return 0, false, fmt.Errorf("statfs %s: %w", f.Name(), err)
	}
	return int64(st.Bavail) * st.Bsize, st.Blocks > 0, nil // no blocks: a file system without a size, such as memfds are on
}

// firstData is the place in the file of the first byte behind the hole at its front, which begins behind the first block; 0 where there is no
// hole, or the file system does not tell.
func firstData(f *os.File) int64 {
	size, err := sizeOf(f)
	if err != nil {
		return 0
	}
	hole, err := unix.Seek(int(f.Fd()), 0, unix.SEEK_HOLE)
	if err != nil || hole >= size { // at the end of each file is one
		return 0
	}
	data, err := unix.Seek(int(f.Fd()), hole, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) { // all the rest is a hole
		return size
	}
	if err != nil {
		return 0
	}
	return data
}

// reopen opens the file of f for writing by its descriptor: its name may be gone, or lie on what is read-only now.
func reopen(f *os.File) (*os.File, error) {
	return os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), os.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
}

func retryEINTR(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// fileSystems are the numbers of statfs(2).
var fileSystems = map[int64]string{
	unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs", unix.TMPFS_MAGIC: "tmpfs",
	unix.OVERLAYFS_SUPER_MAGIC: "overlay", unix.NFS_SUPER_MAGIC: "nfs", unix.FUSE_SUPER_MAGIC: "fuse", unix.V9FS_MAGIC: "9p",
	unix.F2FS_SUPER_MAGIC: "f2fs", unix.SMB2_SUPER_MAGIC: "smb2", unix.RAMFS_MAGIC: "ramfs", 0x2fc12fc1: "zfs",
}

// fileSystem is the name of what f lies on, "" where that is not known.
func fileSystem(f *os.File) string {
	var st unix.Statfs_t
	if err := retryEINTR(func() error { return unix.Fstatfs(int(f.Fd()), &st) }); err != nil {
		return ""
	}
	return fileSystems[int64(st.Type)]
}
