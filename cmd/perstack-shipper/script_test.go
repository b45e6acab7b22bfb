package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
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

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// This file runs testdata/script/*.txtar: sessions at a terminal, with the program as the command
// perstack-shipper and an endpoint of their own. A script has
//
//	$AWS_ENDPOINT_URL and credentials   of its endpoint; `env AWS_ENDPOINT_URL=` takes it away
//	$RECORDINGS, $DEPLOY                the folder of recorded runs, and deploy/
//	$HOME, $XDG_STATE_HOME              folders below $WORK, so that the journal is $WORK/state/perstack-shipper
//	code N command…                     runs command, which must exit with code N
//	put GROUP STREAM FILE               puts each line of FILE as an event, as somebody else would
//	stored GROUP STREAM FILE            writes the events of a stream to FILE, a line each
//	endpoint HOW                        the endpoint works, throttles, hangs and so on (endpoint_test.go)
//	until command…                      runs command again and again until it succeeds, for a minute at most
//	signal NAME                         sends TERM, INT, HUP, QUIT, STOP, CONT or KILL to what runs in the background
//	exited N                            what was signalled last, and waited for, must have exited with code N
//
// UPDATE_SCRIPTS=1 go test ./cmd/perstack-shipper writes what `cmp` found different into the
// scripts.

// fastExit keeps a command that is this test binary under the race detector from sleeping for a
// second before it exits with 0.
const fastExit = "atexit_sleep_ms=0"

// sideBySide is how many tests run at once: most of them wait.
const sideBySide = 6

func TestMain(m *testing.M) {
	os.Setenv("GORACE", fastExit)
	if err := flag.Set("test.parallel", fmt.Sprint(max(sideBySide, runtime.GOMAXPROCS(0)))); err != nil {
		panic(err) // there is such a flag
	}
	testscript.Main(leakless{m}, map[string]func(){"throwing-agent": throwingAgent})
}

// program is the path of the program that the tests start, which is also the command
// perstack-shipper on PATH. It is built as for users, without the race detector, which makes it ten
// times as slow: what runs side by side in it has tests with the race detector in shipper and
// shipper/run.
var program string

func buildProgram() error {
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, output)
	}
	return os.Setenv("PATH", filepath.Dir(program)+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// leakless runs the tests and then looks for goroutines that they left. goleak.VerifyTestMain would
// do the same, but it exits where testscript has yet to clean up.
type leakless struct{ m *testing.M }

func (l leakless) Run() int {
	// A signal may be ignored here, as under nohup or in the background of a script. What the tests
	// start must not inherit that, and a signal that is caught is not ignored in a child.
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

// runForCode is the command code.
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

// exitCode is the exit code that err, of ts.Exec, stands for. A command that could not be run at
// all ends the script.
func exitCode(ts *testscript.TestScript, err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	ts.Check(err)
	return 0
}

// runUntil is the command until.
func runUntil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: until command [args...]")
	}
	deadline := time.Now().Add(time.Minute)
	for exitCode(ts, ts.Exec(args[0], args[1:]...)) != 0 {
		if time.Now().After(deadline) {
			ts.Fatalf("it did not succeed within a minute")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// putEvents is the command put.
func putEvents(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: put GROUP STREAM FILE")
	}
	group, stream := &args[0], &args[1]
	api := cloudwatchlogs.New(cloudwatchlogs.Options{
		BaseEndpoint: aws.String(ts.Getenv("AWS_ENDPOINT_URL")),
		Region:       ts.Getenv("AWS_REGION"),
		Credentials:  credentials.NewStaticCredentialsProvider("test", "test", ""),
		HTTPClient:   &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	})
	ctx := context.Background()
	var exists *types.ResourceAlreadyExistsException
	_, err := api.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: group})
	if !errors.As(err, &exists) {
		ts.Check(err)
	}
	_, err = api.CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: group, LogStreamName: stream})
	if !errors.As(err, &exists) {
		ts.Check(err)
	}
	var events []types.InputLogEvent
	now := time.Now().UnixMilli()
	for line := range strings.Lines(ts.ReadFile(args[2])) {
		events = append(events, types.InputLogEvent{Message: aws.String(strings.TrimSuffix(line, "\n")), Timestamp: &now})
	}
	_, err = api.PutLogEvents(ctx, &cloudwatchlogs.PutLogEventsInput{LogGroupName: group, LogStreamName: stream, LogEvents: events})
	ts.Check(err)
}

// signalBackground is the command signal.
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

// signalled is the key of a script's value with the commands that signal reached last: []*exec.Cmd.
type signalled struct{}

// checkSignalled is the command exited.
func checkSignalled(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: exited N")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	commands := *ts.Value(signalled{}).(*[]*exec.Cmd)
	if len(commands) == 0 {
		ts.Fatalf("nothing was signalled")
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
