package audit

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// On a full disk Restore fails with a remedy and leaves nothing behind.
func TestRestoreOnAFullDisk(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("NOT TESTED: mounting is not permitted: %v", err)
	}
	defer func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	var lines heldLines
	for i := range 20 {
		lines = append(lines, fmt.Appendf(nil, `{"type":"t","timestamp":%d,"stepNumber":1,"jobId":"job","runId":"r","text":%q}`, i, strings.Repeat("x", 8000)))
	}
	_, err := lines.restore(filepath.Join(disk, "workspace"), RestoreOptions{})
	if err == nil || !strings.Contains(err.Error(), "no space left on device; nothing was restored; the disk is full: free some space") {
		t.Errorf("error %v", err)
	}
	if left, err := os.ReadDir(disk); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if err := syscall.Mount("", disk, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := lines.restore(disk, RestoreOptions{}); err == nil || !strings.Contains(err.Error(), "read-only file system; nothing was restored; restore into another folder with --into") {
		t.Errorf("error %v", err)
	}
}

func TestRestoreWithoutPermission(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 { // root may write everywhere, so for the file system this thread becomes nobody
		if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
			t.Fatal(err)
		}
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if _, err := unix.SetfsuidRetUid(65534); err != nil {
			t.Fatal(err)
		}
		defer unix.SetfsuidRetUid(0)
	}
	if _, err := someLines.restore(dir, RestoreOptions{}); err == nil || !strings.Contains(err.Error(), "allow this user to write there") {
		t.Errorf("error %v", err)
	}
	same(t, filesIn(t, dir), nil)
	if _, err := someLines.restore(filepath.Join(dir, "new"), RestoreOptions{}); err == nil || !strings.Contains(err.Error(), "allow this user to write there") {
		t.Errorf("error %v", err)
	}
}
