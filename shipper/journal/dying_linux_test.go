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
)

// An owner that was killed holds its input until the kernel has closed its files. A start that comes in between waits for that.
func TestADyingOwnerIsWaitedFor(t *testing.T) {
	owner := exec.Command("/bin/sh", "-c", "kill -9 $$")
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); !dying(owner.Process.Pid); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not die")
		}
	}
	if dying(os.Getpid()) {
		t.Fatal("a living process is taken for a dying one")
	}

	dir := t.TempDir()
	hold := func(pid int) *os.File { // the lock in the name of pid
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
	f := hold(owner.Process.Pid)
	time.AfterFunc(5*lockTries*lockPause, func() { f.Close() })
	l, err := takeLock(dir, "aaaaaaaa")
	if err != nil {
		t.Fatal(err)
	}
	l.drop()

	f = hold(owner.Process.Pid)
	time.AfterFunc(5*lockTries*lockPause, func() { f.Close() })
	if pid := holder(dir); pid != 0 {
		t.Errorf("%d holds it", pid)
	}
	if err := owner.Wait(); err == nil {
		t.Error("it was not killed")
	}

	// A living owner is named at once.
	defer hold(os.Getpid()).Close()
	began := time.Now()
	if _, err := takeLock(dir, "aaaaaaaa"); !errors.As(err, new(*HeldError)) || holder(dir) != os.Getpid() {
		t.Errorf("%v, held by %d", err, holder(dir))
	}
	if took := time.Since(began); took >= deathPatience {
		t.Errorf("a living owner was waited for, %v", took)
	}
}
