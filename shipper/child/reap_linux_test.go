//go:build !portable

package child

import (
	"syscall"
	"testing"

	"perstack-shipper/shipper/testkit/await"
)

// ended starts a process that ends at once, and returns when it is a zombie.
func ended(t *testing.T, ownGroup bool) (pid int) {
	t.Helper()
	pid, err := syscall.ForkExec("/bin/true", []string{"true"}, &syscall.ProcAttr{Sys: &syscall.SysProcAttr{Setpgid: ownGroup}})
	if err != nil {
		t.Fatal(err)
	}
	await.Until(t, "the process has ended", func() bool { return state(t, pid) == 'Z' })
	return pid
}

func TestReapOrphans(t *testing.T) {
	orphans := []int{ended(t, true), ended(t, true)}
	if reapOrphans(0) {
		t.Error("reapOrphans reports a process of ours in its way")
	}
	for _, pid := range orphans {
		if state(t, pid) != 0 {
			t.Errorf("orphan %d was left", pid)
		}
	}

	command := ended(t, true)
	if reapOrphans(command) || state(t, command) != 'Z' {
		t.Error("reapOrphans took the command's status")
	}
	var status syscall.WaitStatus
	if pid, err := wait(command, &status, 0); pid != command || err != nil {
		t.Fatal(pid, err)
	}

	other := ended(t, false) // in our own group, like one that os/exec waits for
	if !reapOrphans(0) {
		t.Error("reapOrphans does not report the process that it left")
	}
	if pid, err := wait(other, &status, 0); pid != other || err != nil || status.ExitStatus() != 0 {
		t.Errorf("reapOrphans took the status of %d: %v", other, err)
	}
}
