//go:build !portable

package journal

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"perstack-shipper/shipper/disk"
	"perstack-shipper/shipper/testkit/await"
)

// TestLockOfADyingOwner: a killed owner holds its lock until the kernel has closed its files. A
// start at that moment must wait. Otherwise it would leave the input to an owner that ships nothing
// any more.
func TestLockOfADyingOwner(t *testing.T) {
	owner := exec.Command("/bin/sh", "-c", "kill -9 $$") // not waited for: a zombie is as good as a process that ends slowly
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	defer owner.Wait()
	await.Until(t, "IsDying recognizes the killed process", func() bool { return disk.IsDying(owner.Process.Pid) })
	if disk.IsDying(os.Getpid()) {
		t.Fatal("IsDying is true for a living process")
	}

	dir := t.TempDir()
	lockAs := func(pid int) *os.File {
		t.Helper()
		f, err := os.Create(filepath.Join(dir, lockName))
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(f, "%10d\n", pid); err != nil {
			t.Fatal(err)
		}
		return f
	}
	patience := lockPatience{tries: 2, pause: time.Millisecond, death: time.Minute}
	unlockLater := func(f *os.File) { // after longer than anybody waits for a living owner
		time.AfterFunc(20*patience.pause, func() { f.Close() })
	}

	unlockLater(lockAs(owner.Process.Pid))
	l, err := takeLock(dir, "aaaaaaaa", patience)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.drop(); err != nil {
		t.Fatal(err)
	}

	unlockLater(lockAs(owner.Process.Pid))
	if pid := holder(dir, patience); pid != 0 {
		t.Errorf("holder returned process %d, want 0", pid)
	}

	defer lockAs(os.Getpid()).Close()
	if _, err := takeLock(dir, "aaaaaaaa", patience); !errors.As(err, new(*HeldError)) || holder(dir, patience) != os.Getpid() {
		t.Errorf("takeLock returned %v, and holder %d", err, holder(dir, patience))
	}
}
