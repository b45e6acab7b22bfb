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

// On a full disk nothing is restored, nothing is left, and it is said.
func TestRestoreOnAFullDisk(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("NOT TESTED: nothing may be mounted here: %v", err)
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
		t.Errorf("it says %v", err)
	}
	if left, err := os.ReadDir(disk); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
	if err := syscall.Mount("", disk, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := lines.restore(disk, RestoreOptions{}); err == nil || !strings.Contains(err.Error(), "read-only file system; nothing was restored; restore into another folder with --into") {
		t.Errorf("it says %v", err)
	}
}

func TestRestoreWithoutPermission(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 { // who may write everywhere: this thread becomes nobody to the file system
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
		t.Errorf("it says %v", err)
	}
	same(t, filesIn(t, dir), nil)
	if _, err := someLines.restore(filepath.Join(dir, "new"), RestoreOptions{}); err == nil || !strings.Contains(err.Error(), "allow this user to write there") {
		t.Errorf("it says %v", err)
	}
}
