package follow

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// hasWriter asks for a read lease of f, which is open for reading only: the kernel grants it when nobody has the file open for writing. known is false where
// the file system has no leases, or none that speak of writers on other machines, and where the file is another user's.
func hasWriter(f *os.File) (writer, known bool) {
	_, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
	if err == nil {
		_, _ = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
	}
	if refused := errors.Is(err, unix.EAGAIN); err != nil && !refused || isRemote(f) {
		return true, false
	}
	return err != nil, true
}

// isRemote reports whether f is on a file system that is shared by network or by a process: those refuse leases, or grant them, for reasons of their own. EFS is NFS.
func isRemote(f *os.File) bool {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return true
	}
	switch uint32(st.Type) {
	case unix.NFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.CEPH_SUPER_MAGIC, unix.AFS_SUPER_MAGIC,
		unix.V9FS_MAGIC, unix.FUSE_SUPER_MAGIC:
		return true
	}
	return false
}
