package main

// This file shows exec as PID 1 of a container, or rather of a PID namespace.

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"perstack-shipper/shipper/testkit"
)

// asInit starts the program as PID 1 with a shell script as its command. It skips the test if that
// is not permitted.
func (w *world) asInit(script string, flags ...string) *testkit.Process {
	w.T.Helper()
	w.skipExec([]string{"exec"})
	if out, err := exec.Command("unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "true").CombinedOutput(); err != nil {
		w.T.Skipf("NOT TESTED: creating a PID namespace is not permitted here: %v: %s", err, out)
	}
	args := append(append([]string{"perstack-shipper", "exec"}, flags...), "--", "sh", "-c", script)
	c := w.command()
	c.Args = append([]string{"unshare", "--pid", "--fork", "--mount-proc", "--kill-child"}, args...)
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		w.T.Fatal(err)
	}
	c.Path = unshare
	return w.Start(c)
}

// signalInit sends a signal to the process that is PID 1 under unshare.
func (w *world) signalInit(r *testkit.Process, sig syscall.Signal) {
	w.T.Helper()
	pid := r.Cmd.Process.Pid
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		w.T.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		w.T.Fatalf("the children of unshare are %q", data)
	}
	if err := syscall.Kill(child, sig); err != nil {
		w.T.Fatal(err)
	}
}

// zombies is a part of a script that prints the processes that have ended without being waited for.
const zombies = `grep -l '^State:.Z' /proc/[0-9]*/status; `

// Orphans that end are reaped, whatever their process group, and this does not take away the
// command's own exit status.
func TestExecAsInitReaps(t *testing.T) {
	w := newSerialWorld(t) // not in parallel: it counts on short times
	r := w.asInit(`echo "I am child of $PPID"
		for i in 1 2 3 4 5 6 7 8 9 10; do (sleep 0.0$i & ); (setsid sleep 0.0$i & ); done
		until [ "$(ls -d /proc/[0-9]* | wc -l)" -lt 6 ]; do sleep 0.02; done; ` + zombies + `
		ps=$(ls -d /proc/[0-9]* | wc -l); echo done; exit 6`)
	r.Wait(6)
	if got := w.text(""); got != "I am child of 1\ndone\n" {
		t.Errorf("%q arrived", got)
	}
	w.nothingLeft()
}

// Orphans are also reaped while the program drains after its command has ended.
func TestExecAsInitReapsInTheDrain(t *testing.T) {
	w := newSerialWorld(t) // not in parallel: it counts on short times
	w.Stall()
	look := filepath.Join(t.TempDir(), "look")
	r := w.asInit(`(setsid sh -c '(sleep 0.3 &) ; sleep 1; ` + strings.ReplaceAll(zombies, `'`, `"`) + ` echo looked' >` + look + ` 2>&1 & ); echo gone`)
	w.Until("an orphan has looked for zombies", func() bool {
		data, err := os.ReadFile(look)
		return err == nil && strings.Contains(string(data), "looked")
	})
	w.Unstall()
	r.Wait(exitOK)
	data, err := os.ReadFile(look)
	if err != nil || string(data) != "looked\n" {
		t.Errorf("there were zombies: %q, %v", data, err)
	}
}

// Processes that other parts of the program start and wait for are not reaped: credentials may come
// from one.
func TestExecAsInitLeavesOthersTheirChildren(t *testing.T) {
	w := newSerialWorld(t) // not in parallel: it counts on short times
	script := filepath.Join(t.TempDir(), "credentials")
	const answer = `#!/bin/sh
sleep 0.1
echo '{"Version":1,"AccessKeyId":"test","SecretAccessKey":"test"}'
`
	if err := os.WriteFile(script, []byte(answer), 0o700); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(config, []byte("[default]\ncredential_process = "+script+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var env []string
	for _, v := range w.Env {
		if !strings.HasPrefix(v, "AWS_ACCESS") && !strings.HasPrefix(v, "AWS_SECRET") {
			env = append(env, v)
		}
	}
	w.Env = append(env, "AWS_CONFIG_FILE="+config)
	r := w.asInit(`for i in 1 2 3 4 5 6 7 8 9; do (sleep 0.0$i & ); (sleep 0.1$i & ); done; echo '{"jobId":"j"}'; sleep 0.4`)
	r.Wait(exitOK)
	if got := w.text(""); got != "{\"jobId\":\"j\"}\n" {
		t.Errorf("%q arrived; it printed\n%s", got, r.Said())
	}
}

// A command that ignores SIGTERM would be killed when PID 1 exits. It is killed early enough to
// ship everything that it wrote.
func TestExecAsInitOfAnAgentThatIgnoresSIGTERM(t *testing.T) {
	w := newSerialWorld(t)                       // not in parallel: it counts on short times
	count := filepath.Join(t.TempDir(), "count") // a line for each that it has written
	written := func() int {
		data, err := os.ReadFile(count)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return strings.Count(string(data), "\n")
	}
	r := w.asInit(`trap "" TERM; while :; do echo "{\"jobId\":\"j\"}"; echo >>`+count+`; sleep 0.005; done`, "--drain-timeout=4s", "--flush-interval=30s")
	w.Until("it has written", func() bool { return written() > 0 })
	began := time.Now()
	w.signalInit(r, syscall.SIGTERM)
	before := written()
	r.Wait(128 + int(syscall.SIGKILL))
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s to exit", took)
	}
	in, all := w.all("", 1)[0], written()
	if all <= before {
		t.Errorf("it wrote %d lines, %d of them before the signal", all, before)
	}
	if n := len(in.Lines); !in.Ended() || n != all && n != all+1 { // it may have been killed before it counted the last
		t.Errorf("%d lines arrived of %d, ended: %v", n, all, in.Ended())
	}
	w.nothingLeft()
}
