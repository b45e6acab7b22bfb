package main

// This file runs testdata/script/*.txtar, which are sessions at a terminal with the program as the
// command perstack-shipper, each with an endpoint of its own. A script has:
//
//	$AWS_ENDPOINT_URL and credentials   of its endpoint; `env AWS_ENDPOINT_URL=` removes it
//	$RECORDINGS, $DEPLOY                the folder of recorded runs, and deploy/
//	$HOME, $XDG_STATE_HOME              folders below $WORK; the journal is in $WORK/state
//	code N command…                     runs command, which must exit with code N
//	put GROUP STREAM FILE               puts each line of FILE as an event, as another program would
//	stored GROUP STREAM FILE            writes the events of a stream to FILE, one per line
//	endpoint HOW                        makes the endpoint work, throttle, hang and so on
//	until command…                      repeats command until it succeeds, up to await.Deadline
//	signal NAME                         sends TERM, INT, KILL… to all background commands
//	exited N                            a command that got a signal must have exited with code N
//	[portable]                          on macOS, or with the build tag portable
//
// UPDATE_SCRIPTS=1 go test ./cmd/perstack-shipper updates the files that `cmp` compares in the
// scripts.

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"perstack-shipper/shipper/disk"
	"perstack-shipper/shipper/testkit"
	"perstack-shipper/shipper/testkit/await"
)

// fastExit keeps a command that is this test binary from sleeping for a second before it exits with
// 0, as it would under the race detector.
const fastExit = "atexit_sleep_ms=0"

// sideBySide is the number of tests to run in parallel. Most of them wait.
const sideBySide = 6

func TestMain(m *testing.M) {
	os.Setenv("GORACE", fastExit)
	if err := flag.Set("test.parallel", fmt.Sprint(max(sideBySide, runtime.GOMAXPROCS(0)))); err != nil {
		panic(err) // the flag exists
	}
	testscript.Main(leakless{m}, map[string]func(){"throwing-agent": throwingAgent})
}

// program is the path of the program that the tests start, which is also the command
// perstack-shipper on PATH. It is built as for users, without the race detector, which would make
// it ten times as slow. Tests in shipper and shipper/run run the concurrent parts under the race
// detector.
var program string

func buildProgram() error {
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, output)
	}
	return os.Setenv("PATH", filepath.Dir(program)+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// leakless runs the tests and then looks for leaked goroutines. goleak.VerifyTestMain would do the
// same, but it exits before testscript has cleaned up.
type leakless struct{ m *testing.M }

func (l leakless) Run() int {
	// This process may have been started with a signal ignored, as under nohup or in the background
	// of a script. The tests' programs must not inherit that. A signal that is caught here is not
	// ignored in a child.
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT} {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
	dir, err := os.MkdirTemp("", "perstack-shipper-built")
	if err == nil {
		defer os.RemoveAll(dir)
		program = filepath.Join(dir, "perstack-shipper")
		err = buildProgram()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := l.m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, "goleak:", err)
		return 1
	}
	return code
}

func TestScripts(t *testing.T) {
	recordings, err := filepath.Abs("testdata/recordings")
	if err != nil {
		t.Fatal(err)
	}
	deploy, err := filepath.Abs("../../deploy")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code": runForCode, "put": putEvents, "stored": writeStored, "endpoint": failCalls, "until": runUntil,
			"signal": signalBackground, "exited": checkSignalled,
		},
		Condition: func(name string) (bool, error) {
			if name != "portable" {
				return false, fmt.Errorf("unknown condition %q", name)
			}
			return !disk.KnowsWriters, nil
		},
		Setup: func(env *testscript.Env) error {
			if err := serve(env); err != nil {
				return err
			}
			env.Values[signalled{}] = &[]*exec.Cmd{}
			env.Setenv("RECORDINGS", recordings)
			env.Setenv("DEPLOY", deploy)
			env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
			env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "state"))
			return nil
		},
	})
}

// runForCode implements the command code.
func runForCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N command [args...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if got := exitCode(ts, ts.Exec(args[1], args[2:]...)); got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// exitCode returns the exit code for the error of ts.Exec. A command that could not be run ends the
// script.
func exitCode(ts *testscript.TestScript, err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	ts.Check(err)
	return 0
}

// runUntil implements the command until.
func runUntil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: until command [args...]")
	}
	pause := 20 * time.Millisecond
	for deadline := time.Now().Add(await.Deadline); exitCode(ts, ts.Exec(args[0], args[1:]...)) != 0; time.Sleep(pause) {
		if time.Now().After(deadline) {
			ts.Fatalf("it did not succeed within %s", await.Deadline)
		}
		pause = min(2*pause, 100*time.Millisecond) // each try starts a process
	}
}

// putEvents implements the command put.
func putEvents(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: put GROUP STREAM FILE")
	}
	endpoint := ts.Value(endpointKey{}).(*testkit.Endpoint)
	messages := strings.Split(strings.TrimSuffix(ts.ReadFile(args[2]), "\n"), "\n")
	ts.Check(endpoint.Put(context.Background(), args[0], args[1], time.Now(), messages...))
}

// signalBackground implements the command signal.
func signalBackground(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]syscall.Signal{
		"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "HUP": syscall.SIGHUP, "QUIT": syscall.SIGQUIT,
		"STOP": syscall.SIGSTOP, "CONT": syscall.SIGCONT, "KILL": syscall.SIGKILL,
	}
	if neg || len(args) != 1 || signals[args[0]] == 0 {
		ts.Fatalf("usage: signal TERM|INT|HUP|QUIT|STOP|CONT|KILL")
	}
	commands := ts.BackgroundCmds()
	*ts.Value(signalled{}).(*[]*exec.Cmd) = commands
	for _, command := range commands {
		ts.Check(command.Process.Signal(signals[args[0]]))
	}
}

// signalled is the key of a *[]*exec.Cmd, the commands that got the last signal of a script.
type signalled struct{}

// checkSignalled implements the command exited.
func checkSignalled(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: exited N")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	commands := *ts.Value(signalled{}).(*[]*exec.Cmd)
	if len(commands) == 0 {
		ts.Fatalf("no command got a signal")
	}
	for _, command := range commands {
		switch {
		case command.ProcessState == nil:
			ts.Fatalf("%v is still running: wait for it first", command)
		case command.ProcessState.ExitCode() != want:
			ts.Fatalf("%v: %v, want exit code %d", command, command.ProcessState, want)
		}
	}
}
