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
)

// The lock of a killed owner holds until the kernel has closed its files. A start in that moment
// waits, because it would otherwise leave the input to an owner that ships nothing any more.
func TestLockOfADyingOwner(t *testing.T) {
	owner := exec.Command("/bin/sh", "-c", "kill -9 $$") // not waited for: a zombie is as good as one that ends slowly
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	defer owner.Wait()
	for deadline := time.Now().Add(time.Minute); !disk.IsDying(owner.Process.Pid); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a killed process is not seen to be dying")
		}
	}
	if disk.IsDying(os.Getpid()) {
		t.Fatal("a living process is taken for a dying one")
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
	const longer = 3 * lockTries * lockPause // than anybody waits for a living owner

	f := lockAs(owner.Process.Pid)
	time.AfterFunc(longer, func() { f.Close() })
	l, err := takeLock(dir, "aaaaaaaa")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.drop(); err != nil {
		t.Fatal(err)
	}

	f = lockAs(owner.Process.Pid)
	time.AfterFunc(longer, func() { f.Close() })
	if pid := holder(dir); pid != 0 {
		t.Errorf("process %d is said to hold the lock", pid)
	}

	defer lockAs(os.Getpid()).Close()
	if _, err := takeLock(dir, "aaaaaaaa"); !errors.As(err, new(*HeldError)) || holder(dir) != os.Getpid() {
		t.Errorf("%v, held by %d", err, holder(dir))
	}
}
