package main

// This file is what the tests that run the program share: a world with this program in it.

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"perstack-shipper/shipper/cwlocal"
	"perstack-shipper/shipper/disk"
	"perstack-shipper/shipper/testkit"
	"perstack-shipper/shipper/testkit/await"
)

// world is a testkit.World with this program, built as for users.
type world struct{ *testkit.World }

// newWorld makes a world for a test, and lets it run in parallel with others because it mostly
// waits. The environment of its programs sets the log group and a short flush interval.
func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	return newSerialWorld(t)
}

// newSerialWorld is newWorld for a test that does not run in parallel, or has several worlds.
func newSerialWorld(t *testing.T) *world {
	t.Helper()
	w := &world{testkit.New(t, "/perstack/test", testkit.Options{})}
	w.Env = append(w.Env, "PERSTACK_SHIPPER_LOG_GROUP="+w.Group, "PERSTACK_SHIPPER_FLUSH_INTERVAL=20ms")
	t.Cleanup(w.KillAll)
	return w
}

// newLocalWorld makes a world on the program's own endpoint, perstack-shipper local, which it
// starts. No environment variable configures the program there.
func newLocalWorld(t *testing.T) *world {
	t.Helper()
	local, url, _, _ := startLocal(lifetime(t), t, "--listen=127.0.0.1:0")
	t.Cleanup(func() {
		if err := local.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := local.Wait(); err != nil {
			t.Errorf("local: %v", err)
		}
	})
	return newWorldAt(t, url)
}

// newWorldAt makes a world on an endpoint in another process, like newLocalWorld.
func newWorldAt(t *testing.T, url string) *world {
	t.Helper()
	e := testkit.At(url)
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return &world{testkit.On(t, "/perstack/test", e)}
}

// in returns a world for a subtest on the same endpoint.
func (w *world) in(t *testing.T) *world {
	t.Helper()
	return &world{testkit.On(t, w.Group, w.Endpoint)}
}

// command returns the program with these arguments. It is killed if the test ends before it does.
func (w *world) command(args ...string) *exec.Cmd {
	w.T.Helper()
	w.skipExec(args)
	return w.with(exec.CommandContext(lifetime(w.T), program, args...))
}

// skipExec skips a test that starts the program with args, if they ask for an exec that this system
// does not have.
func (w *world) skipExec(args []string) {
	w.T.Helper()
	if len(args) > 0 && args[0] == "exec" && !disk.KnowsWriters {
		w.T.Skip("exec needs Linux")
	}
}

// sh returns a shell with a script that may run perstack-shipper, and arguments of the script.
func (w *world) sh(script string, args ...string) *exec.Cmd {
	w.T.Helper()
	return w.with(exec.CommandContext(lifetime(w.T), "sh", append([]string{"-c", script, "sh"}, args...)...))
}

// with gives a command the environment of the world's programs.
func (w *world) with(c *exec.Cmd) *exec.Cmd {
	c.Env = append(w.Env[:len(w.Env):len(w.Env)], "PERSTACK_SHIPPER_JOURNAL_DIR="+w.Journal)
	return c
}

// lifetime returns a context that ends a program if its test hangs. The test's own context would
// end before the cleanup that stops the program properly.
func lifetime(t testing.TB) context.Context {
	ctx, stop := context.WithTimeout(context.Background(), 2*await.Deadline)
	t.Cleanup(stop)
	return ctx
}

// exec starts the program with a shell script as its command, with these flags.
func (w *world) exec(script string, flags ...string) *testkit.Process {
	w.T.Helper()
	args := append(append([]string{"exec"}, flags...), "--", "sh", "-c", script)
	return w.Start(w.command(args...))
}

// summary is the message about what was shipped, with its numbers except those of retries and
// seconds. A warning about a run that did not end may precede it.
var summary = regexp.MustCompile(`^(?:\{"level":"warn",[^\n]* ended (?:before job|in the middle of a line) [^\n]*\}\n)?` +
	`\{"level":"info","time":"[^"]*","message":"shipped [^"]*",("lines":.*),"retries":\d+,("repeats":.*),"seconds":[0-9.e-]+\}\n$`)

// ship pipes data into the program, which must deliver it, and returns the summary.
func (w *world) ship(data []byte, args ...string) string {
	w.T.Helper()
	_, said := w.mustRun(w.piped(data, args...))
	found := summary.FindStringSubmatch(said)
	if found == nil {
		w.T.Fatalf("stderr is not just a summary: %s", said)
	}
	return found[1] + "," + found[2]
}

// piped returns the program with data in a pipe for its stdin, as from an agent.
func (w *world) piped(data []byte, args ...string) *exec.Cmd {
	w.T.Helper()
	c := w.command(args...)
	c.Stdin = struct{ io.Reader }{bytes.NewReader(data)}
	return c
}

// run runs the program, which must succeed and print nothing on stderr, and returns its stdout.
func (w *world) run(args ...string) []byte {
	w.T.Helper()
	stdout, said := w.mustRun(w.command(args...))
	if said != "" {
		w.T.Fatalf("%q printed on stderr: %s", args, said)
	}
	return stdout
}

// logs reads back with the program.
func (w *world) logs(args ...string) []byte {
	w.T.Helper()
	return w.run(append([]string{"logs"}, args...)...)
}

// mustRun runs a command, which must succeed.
func (w *world) mustRun(c *exec.Cmd) (stdout []byte, stderr string) {
	w.T.Helper()
	stdout, stderr, code := w.output(c)
	if code != exitOK {
		w.T.Fatalf("%q: exit code %d\n%s%s", c.Args, code, stdout, stderr)
	}
	return stdout, stderr
}

// output runs a command to its end, and returns what it printed and its exit code.
func (w *world) output(c *exec.Cmd) (stdout []byte, stderr string, code int) {
	w.T.Helper()
	var out, said bytes.Buffer
	c.Stdout, c.Stderr = &out, &said
	if err := c.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		w.T.Fatalf("%q: %v", c.Args, err)
	}
	return out.Bytes(), said.String(), c.ProcessState.ExitCode()
}

// all returns the inputs of a source that have lines. There must be that many.
func (w *world) all(source string, want int) []*testkit.Input {
	w.T.Helper()
	var found []*testkit.Input
	for _, in := range w.Gathered() {
		if in.Source == source && in.Last > 0 {
			found = append(found, in)
		}
	}
	if len(found) != want {
		w.T.Fatalf("%d inputs of %q, want %d", len(found), source, want)
	}
	return found
}

// one returns the only input of a source, and its text up to the first line that is missing.
func (w *world) one(source string) (in *testkit.Input, text string) {
	w.T.Helper()
	in = w.all(source, 1)[0]
	text, _ = in.Text()
	return in, text
}

// text returns the text of the only input of a source.
func (w *world) text(source string) string {
	w.T.Helper()
	_, text := w.one(source)
	return text
}

// has reports whether the text was shipped, in any input.
func (w *world) has(text string) bool {
	w.T.Helper()
	for _, in := range w.Gathered() {
		if got, _ := in.Text(); strings.Contains(got, text) {
			return true
		}
	}
	return false
}

// lastSeal returns the message of the last seal.
func lastSeal(in *testkit.Input) string {
	seal, _ := in.Seal()
	return seal.Message
}

// nothingLeft checks that the journal folder holds no input.
func (w *world) nothingLeft() {
	w.T.Helper()
	if left := w.Kept(); len(left) > 0 {
		w.T.Errorf("left in the journal: %v", left)
	}
}

// inJournal reports whether a file in the journal whose name matches the pattern holds the text.
func (w *world) inJournal(name, text string) bool {
	w.T.Helper()
	found, err := filepath.Glob(filepath.Join(w.Journal, "*", name))
	if err != nil {
		w.T.Fatal(err)
	}
	for _, f := range found {
		if data, err := os.ReadFile(f); err == nil && bytes.Contains(data, []byte(text)) {
			return true
		}
	}
	return false
}

// keeps reports whether the journal of a pipe holds the text.
func (w *world) keeps(text string) bool { return w.inJournal("*.segment", text) }

// wrote reports whether the command of exec has written the text to its stdout.
func (w *world) wrote(text string) bool { return w.inJournal("*.output", text) }

// gate returns the path of a file that a script waits for with atGate, and a function that creates
// it.
func (w *world) gate() (path string, open func()) {
	path = filepath.Join(w.T.TempDir(), "gate")
	w.Env = append(w.Env, "GATE="+path)
	return path, func() {
		w.T.Helper()
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			w.T.Fatal(err)
		}
	}
}

// atGate is the part of a script that waits for its gate.
const atGate = "until [ -e $GATE ]; do sleep 0.01; done; "

// recordings returns the paths of the recorded output of real runs by name: those in the repository
// and, if the folder exists beside it, all others.
func recordings(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, folder := range []string{"../../../shared/recordings", "testdata/recordings"} {
		paths, err := filepath.Glob(folder + "/*")
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			files[filepath.Base(path)] = path
		}
	}
	if len(files) == 0 {
		t.Fatal("there are no recordings")
	}
	return files
}

// recording returns a recording of the repository.
func (w *world) recording(name string) []byte {
	w.T.Helper()
	data, err := os.ReadFile(filepath.Join("testdata/recordings", name))
	if err != nil {
		w.T.Fatal(err)
	}
	return data
}

// nonEmpty returns the non-empty lines of data without their newlines.
func nonEmpty(data []byte) (lines [][]byte) {
	for line := range bytes.SplitSeq(data, []byte("\n")) {
		if len(line) > 0 {
			lines = append(lines, line)
		}
	}
	return lines
}

// difference returns the text around the first byte at which two outputs differ.
func difference(got, want []byte) string {
	n := 0
	for n < len(got) && n < len(want) && got[n] == want[n] {
		n++
	}
	near := func(b []byte) string { return string(b[max(0, n-100):min(len(b), n+100)]) }
	return "got " + near(got) + "\nwant " + near(want)
}

// newObservedWorld makes a world with an endpoint in this process, which counts calls. No
// environment variable configures the program there.
func newObservedWorld(t *testing.T, o cwlocal.Options) *world {
	t.Helper()
	return &world{testkit.New(t, "/perstack/test", testkit.Options{Options: o})}
}
