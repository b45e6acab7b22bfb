package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cwlocal"
)

// This file is the world of the tests of a sidecar: an endpoint in this process, a folder of events, a journal, and the program as a process of its own.

const sidecarGroup = "/perstack/sidecar"

type sidecar struct {
	t       *testing.T
	server  *cwlocal.Server
	url     string
	events  string // the folder that the agent writes to
	journal string
	fault   atomic.Pointer[mood] // nil: all is well
}

func newSidecar(t *testing.T) *sidecar {
	t.Helper()
	t.Parallel() // it mostly waits
	w := &sidecar{t: t, events: t.TempDir(), journal: filepath.Join(t.TempDir(), "journal")}
	w.server, w.url = listen(t, cwlocal.Options{Intercept: func(call *cwlocal.Call) cwlocal.Fault {
		if decide := w.fault.Load(); decide != nil {
			return (*decide)(call)
		}
		return cwlocal.Fault{}
	}})
	return w
}

// puts makes every put fail so; with the zero Fault all is well again.
func (w *sidecar) puts(fault cwlocal.Fault) {
	decide := mood(func(call *cwlocal.Call) cwlocal.Fault {
		if call.Action == "PutLogEvents" {
			return fault
		}
		return cwlocal.Fault{}
	})
	w.fault.Store(&decide)
}

// path is that of a file in the folder of events.
func (w *sidecar) path(name string) string { return filepath.Join(w.events, name) }

// write appends to a file in the folder of events.
func (w *sidecar) write(name string, text ...string) {
	w.t.Helper()
	f, err := os.OpenFile(w.path(name), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err == nil {
		_, err = f.WriteString(strings.Join(text, ""))
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *sidecar) rename(from, to string) {
	w.t.Helper()
	if err := os.Rename(w.path(from), w.path(to)); err != nil {
		w.t.Fatal(err)
	}
}

// process is the program at work.
type process struct {
	t   *testing.T
	cmd *exec.Cmd

	mu     sync.Mutex // the program writes to stderr while the test reads it
	stderr bytes.Buffer
	ended  chan struct{} // the process is gone, and code is set
	code   int
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.Write(b)
}

func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.String()
}

// follow starts the program on the world's journal and log group.
func (w *sidecar) follow(args ...string) *process {
	w.t.Helper()
	return w.run(nil, append([]string{"--log-group", sidecarGroup, "--journal-dir", w.journal, "--flush-interval", "50ms"}, args...)...)
}

// run starts the program.
func (w *sidecar) run(stdin []byte, args ...string) *process {
	w.t.Helper()
	return w.start(stdin, exec.Command("perstack-shipper", args...))
}

// limited starts the program where a process may have so many descriptors.
func (w *sidecar) limited(descriptors int, args ...string) *process {
	w.t.Helper()
	limit := fmt.Sprintf(`ulimit -n %d && exec perstack-shipper "$@"`, descriptors)
	return w.start(nil, exec.Command("sh", append([]string{"-c", limit, "sh"}, args...)...))
}

func (w *sidecar) start(stdin []byte, cmd *exec.Cmd) *process {
	w.t.Helper()
	p := &process{t: w.t, cmd: cmd, ended: make(chan struct{})}
	p.cmd.Stderr = p
	if stdin != nil {
		p.cmd.Stdin = bytes.NewReader(stdin)
	}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "AWS_") && !strings.HasPrefix(v, "PERSTACK_") && !strings.HasPrefix(v, "ECS_") {
			p.cmd.Env = append(p.cmd.Env, v)
		}
	}
	p.cmd.Env = append(p.cmd.Env, "AWS_ENDPOINT_URL="+w.url, "AWS_REGION=eu-west-1", "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test",
		"AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null")
	if err := p.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		var exit *exec.ExitError
		if err := p.cmd.Wait(); errors.As(err, &exit) {
			p.code = exit.ExitCode() // -1: by a signal
		} else if err != nil {
			w.t.Error(err)
		}
	}()
	w.t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.ended
		if w.t.Failed() {
			w.t.Logf("%s said:\n%s", strings.Join(cmd.Args, " "), p.said())
		}
	})
	return p
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// wait waits for the process to end by itself, with the exit code want.
func (p *process) wait(want int) {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		p.t.Fatal("it does not end")
	}
	if p.code != want {
		p.t.Fatalf("exit code %d, want %d", p.code, want)
	}
}

// stop ends it as ECS does.
func (p *process) stop(want int) {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	p.wait(want)
}

// kill ends it as the kernel does when memory is short.
func (p *process) kill() {
	p.t.Helper()
	p.signal(syscall.SIGKILL)
	p.wait(-1)
}

func (p *process) mustSay(texts ...string) {
	p.t.Helper()
	for _, text := range texts {
		if !strings.Contains(p.said(), text) {
			p.t.Errorf("it did not say %q", text)
		}
	}
}

// eventually waits until is holds.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// shipped is what CloudWatch has of an input.
type shipped struct {
	id, path string
	opened   int64 // when its first open record was made
	pieces   map[[2]int64]batch.Restored
	last     int64 // seq
	repeats  int
	seals    []seal
}

type seal struct {
	Lines, Bytes, LastSeq int64
	SHA256, RawSHA256     string
	Ended                 bool
}

// shipped returns what the log group has, in the order in which the inputs were opened.
func (w *sidecar) shipped() []*shipped { return w.shippedTo(sidecarGroup) }

func (w *sidecar) shippedTo(group string) []*shipped {
	w.t.Helper()
	inputs := map[string]*shipped{}
	seals := map[string]bool{}
	for _, stream := range w.server.Streams(group) {
		for _, event := range w.server.Events(group, stream) {
			r, err := batch.Restore([]byte(event.Message))
			if err != nil {
				w.t.Fatalf("%v: %s", err, event.Message)
			}
			in := inputs[r.Input]
			if in == nil {
				in = &shipped{id: r.Input, pieces: map[[2]int64]batch.Restored{}}
				inputs[r.Input] = in
			}
			switch r.Record {
			case "open":
				var open struct{ Path string }
				if err := json.Unmarshal([]byte(event.Message), &open); err != nil {
					w.t.Fatal(err)
				}
				if in.path == "" {
					in.path, in.opened = open.Path, event.IngestionTime
				}
			case "seal":
				var s seal
				if err := json.Unmarshal([]byte(event.Message), &s); err != nil {
					w.t.Fatal(err)
				}
				if !seals[event.Message] { // one for each stream
					in.seals = append(in.seals, s)
				}
				seals[event.Message] = true
			default:
				key := [2]int64{r.Seq, int64(r.Part)}
				if before, ok := in.pieces[key]; ok {
					in.repeats++
					if !bytes.Equal(before.Line, r.Line) {
						w.t.Fatalf("input %s, line %d is there twice with different bytes:\n%s\n%s", r.Input, r.Seq, before.Line, r.Line)
					}
				}
				in.pieces[key] = r
				in.last = max(in.last, r.Seq)
			}
		}
	}
	return slices.SortedFunc(maps.Values(inputs), func(a, b *shipped) int {
		return int(min(1, max(-1, a.opened-b.opened)))
	})
}

// bytes is the input as it was, as far as it is there.
func (in *shipped) bytes(t *testing.T) string {
	t.Helper()
	text, missing := in.restore()
	if missing != "" {
		t.Fatalf("input %s: %s is missing of %d lines", in.id, missing, in.last)
	}
	return text
}

// restore is bytes, or what is missing: streams are read one after the other while more comes.
func (in *shipped) restore() (text, missing string) {
	var out strings.Builder
	for seq := int64(1); seq <= in.last; seq++ {
		r, whole := in.pieces[[2]int64{seq, 0}]
		out.WriteString(strings.Repeat("\n", int(r.Empty)))
		out.Write(r.Line)
		for part := int64(1); !whole && !r.Last; part++ {
			var ok bool
			if r, ok = in.pieces[[2]int64{seq, part}]; !ok {
				return "", fmt.Sprintf("line %d, part %d", seq, part)
			}
			out.Write(r.Line)
		}
		if !r.NoNewline {
			out.WriteByte('\n')
		}
	}
	return out.String(), ""
}

// has reports whether one input of that path has exactly these bytes.
func (w *sidecar) has(path, text string) bool {
	w.t.Helper()
	return slices.ContainsFunc(w.shipped(), func(in *shipped) bool {
		got, missing := in.restore()
		return missing == "" && in.path == path && got == text
	})
}

// input is the one input with these bytes.
func (w *sidecar) input(text string) *shipped {
	w.t.Helper()
	var found *shipped
	for _, in := range w.shipped() {
		if in.bytes(w.t) != text {
			continue
		}
		if found != nil {
			w.t.Fatalf("inputs %s and %s both are %.100q", found.id, in.id, text)
		}
		found = in
	}
	if found == nil {
		for _, in := range w.shipped() {
			w.t.Logf("input %s of %s: %d lines, %.200q", in.id, in.path, in.last, in.bytes(w.t))
		}
		w.t.Fatalf("no input is %.100q", text)
	}
	return found
}

// ended is what its latest seal says; a test fails without one.
func (in *shipped) ended(t *testing.T) bool {
	t.Helper()
	var last *seal
	for i := range in.seals {
		if s := &in.seals[i]; last == nil || s.LastSeq > last.LastSeq || s.LastSeq == last.LastSeq && s.Ended {
			last = s
		}
	}
	if last == nil {
		t.Fatalf("input %s has no seal", in.id)
	}
	if last.Lines != in.last {
		t.Errorf("input %s: the seal counts %d lines, %d are there", in.id, last.Lines, in.last)
	}
	return last.Ended
}

// kept lists the folders of inputs in the journal.
func (w *sidecar) kept() []string {
	w.t.Helper()
	entries, err := os.ReadDir(w.journal)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		w.t.Fatal(err)
	}
	var ids []string
	for _, e := range entries {
		if e.IsDir() {
			ids = append(ids, e.Name())
		}
	}
	return ids
}
