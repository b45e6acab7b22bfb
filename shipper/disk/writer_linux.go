//go:build !portable

package disk

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// KnowsWriters says whether this system tells who has a file or a FIFO open for writing. exec needs
// that to find out that the output of its command is complete.
const KnowsWriters = true

// HasWriter reports whether any process has f open for writing. f itself must be open for reading
// only. HasWriter asks for a read lease, which the kernel grants only if there is no writer. known
// is false if the file system has no leases, if its leases do not cover writers on other machines,
// or if the file belongs to another user.
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

// isRemote reports whether f is on a file system provided by a network or a process, which grants
// and refuses leases for reasons of its own. EFS is NFS.
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

// ProcessWrites reports whether the process pid has the file with the identity who open for
// writing, as far as this process may see that. name is the last element of the file's path, even
// if the file was deleted. A process that only reads the file, as tail does, does not count.
func ProcessWrites(pid int, who Identity, name string) bool {
	process := filepath.Join("/proc", strconv.Itoa(pid))
	open, err := os.ReadDir(filepath.Join(process, "fd"))
	if err != nil || who == (Identity{}) {
		return false
	}
	for _, fd := range open {
		path := filepath.Join(process, "fd", fd.Name())
		target, err := os.Readlink(path)
		if err != nil || !strings.HasSuffix(strings.TrimSuffix(target, " (deleted)"), "/"+name) {
			continue // a stat of every file could block on a server that does not respond
		}
		info, err := os.Stat(path)
		if err == nil && IdentityOf(info) == who && isWritable(filepath.Join(process, "fdinfo", fd.Name())) {
			return true
		}
	}
	return false
}

// isWritable reports whether a descriptor was opened for writing. info is its file in
// /proc/PID/fdinfo: see proc_pid_fdinfo(5).
func isWritable(info string) bool {
	data, err := os.ReadFile(info)
	if err != nil {
		return false // the process has ended, or has closed the descriptor
	}
	for line := range strings.Lines(string(data)) {
		if flags, found := strings.CutPrefix(line, "flags:"); found {
			n, err := strconv.ParseUint(strings.TrimSpace(flags), 8, 64)
			return err == nil && n&unix.O_ACCMODE != unix.O_RDONLY
		}
	}
	return false
}

// OthersWrite reports whether another process of this machine has the file who open for writing, as
// far as this process may see that: see [ProcessWrites]. known is false if processes cannot be
// listed.
func OthersWrite(who Identity, name string) (writer, known bool) {
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil || len(processes) == 0 {
		return true, false
	}
	for _, process := range processes {
		if pid, err := strconv.Atoi(filepath.Base(process)); err == nil && pid != os.Getpid() && ProcessWrites(pid, who, name) {
			return true, true
		}
	}
	return false, true
}
