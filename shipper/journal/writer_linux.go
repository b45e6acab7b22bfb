package journal

// Whether anybody still writes a file: a lease says so on local file systems, and /proc says who of this machine has it open.

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// HasWriter asks for a read lease of f, which is open for reading only: the kernel grants it when nobody has the file open for writing. known is false where
// the file system has no leases, or none that speak of writers on other machines, and where the file is another user's.
func HasWriter(f *os.File) (writer, known bool) {
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

// HasOpen reports whether the process pid has a file below dir open, as far as this process may see that.
func HasOpen(pid int, dir string) bool {
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real // as /proc names it
	}
	descriptors := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	open, err := os.ReadDir(descriptors)
	if err != nil || dir == "" {
		return false
	}
	for _, fd := range open {
		if file, err := os.Readlink(filepath.Join(descriptors, fd.Name())); err == nil && strings.HasPrefix(file, dir+"/") {
			return true
		}
	}
	return false
}

// othersHaveOpen reports whether a process but this one has a file below dir open, as far as this process may see that.
func othersHaveOpen(dir string) bool {
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return false
	}
	for _, process := range processes {
		if pid, err := strconv.Atoi(filepath.Base(process)); err == nil && pid != os.Getpid() && HasOpen(pid, dir) {
			return true
		}
	}
	return false
}
