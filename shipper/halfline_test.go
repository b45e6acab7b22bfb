package shipper

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cwlocal"
	"perstack-shipper/shipper/journal"
)

// This file is about followed files whose last line has no newline: what nobody finishes is
// shipped, and what goes on after all is the same file.

// halfLines is a followed file, shipped by one process after the other.
type halfLines struct {
	*world
	path string
	lost atomic.Bool // answers to puts are, which are carried out
	stop func()
	j    *journal.File
}

const (
	halfID        = "halfline"
	shortHalfLine = 20 * time.Millisecond
)

func newHalfLines(t *testing.T) *halfLines {
	h := &halfLines{path: filepath.Join(t.TempDir(), "run.jsonl")}
	h.world = newWorld(t, func(call *cwlocal.Call) cwlocal.Fault {
		return cwlocal.Fault{ResetAfter: call.Action == "PutLogEvents" && h.lost.Load()}
	})
	return h
}

func (h *halfLines) write(text string) {
	h.t.Helper()
	f, err := os.OpenFile(h.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		h.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		h.t.Fatal(err)
	}
}

// start follows the file until stop.
func (h *halfLines) start() {
	h.t.Helper()
	var err error
	if h.j, err = h.folder.Follow(halfID, h.path, nil, journal.Options{}); err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	s := h.shipper(func(o *Options) { o.HalfLine, o.FlushInterval = shortHalfLine, 10*time.Millisecond })
	in := Input{Journal: h.j.Journal, Primary: true, Shape: batch.Shape{Input: halfID, JobID: "job", Template: "{jobId}", Hostname: "host"}, Ending: func() Ending { return Paused }}
	go func() {
		defer close(ended)
		s.Run(ctx, []Input{in}, nil)
	}()
	h.stop = func() { cancel(); <-ended }
}

// pause ends it as a stop does.
func (h *halfLines) pause() {
	h.t.Helper()
	if err := h.j.StopFollowing(); err != nil {
		h.t.Fatal(err)
	}
	h.Until("the input is closed", func() bool {
		left, err := h.folder.Leftover()
		return err == nil && len(left) == 1 && left[0].Holder == 0
	})
	h.stop()
}

// check compares what CloudWatch has with the file. No line may be there twice with different
// bytes.
func (h *halfLines) check(text string) {
	h.t.Helper()
	if got := string(h.lines(halfID)); got != text {
		h.t.Errorf("%q came back of %q", got, text)
	}
	seen := map[[2]int64]string{}
	for _, e := range h.server.Events(h.group, "job") {
		r, err := batch.Restore([]byte(e.Message))
		if err != nil {
			h.t.Fatal(err)
		}
		if r.Record != "" {
			continue
		}
		key := [2]int64{r.Seq, int64(r.Part)}
		if before, ok := seen[key]; ok && before != e.Message {
			h.t.Errorf("line %d is there twice:\n%s\n%s", r.Seq, before, e.Message)
		}
		seen[key] = e.Message
	}
	seal := h.seal(halfID, "job")
	sum := sha256.Sum256([]byte(text))
	if want := hex.EncodeToString(sum[:]); seal.RawSHA256 != want && (seal.RawSHA256 != "" || seal.SHA256 != want) {
		h.t.Errorf("the seal's digests are %s and %s, that of the file is %s", seal.SHA256, seal.RawSHA256, want)
	}
}

// hasAll reports whether CloudWatch has all of the file, as far as it is written. Empty lines come
// with the line after them.
func (h *halfLines) hasAll(text string) bool {
	in := h.Gathered()[halfID]
	if in == nil {
		return false
	}
	got, missing := in.Text()
	return missing == "" && strings.TrimRight(got, "\n") == strings.TrimRight(text, "\n")
}

func (h *halfLines) has(text string) bool {
	for _, e := range h.server.Events(h.group, "job") {
		if strings.Contains(e.Message, text) {
			return true
		}
	}
	return false
}

func TestHalfLineIsShippedAndGoesOn(t *testing.T) {
	t.Parallel()
	h := newHalfLines(t)
	h.write("whole\nnobody")
	h.start()
	h.Until("the half line is there", func() bool { return h.has(`"newline":false`) && h.has("nobody") })
	h.write(" has finished this\n\nnext\nand")
	h.Until("the next half line is there", func() bool { return h.has(`"message":"and"`) })
	h.write("\n")
	h.write("last")
	h.pause()
	h.check("whole\nnobody has finished this\n\nnext\nand\nlast")
}

// A half line that was stored and not acknowledged when the shipper died is the same line again in
// the next one, whatever came meanwhile.
func TestHalfLineAfterACrash(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]func(*halfLines){
		"stood still": func(h *halfLines) {},
		"at the stop": func(h *halfLines) {
			if err := h.j.StopFollowing(); err != nil {
				h.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHalfLines(t)
			h.lost.Store(true)
			h.write("half")
			h.start()
			stop(h)
			h.Until("the half line is there", func() bool { return h.has(`"message":"half"`) })
			h.stop()
			h.lost.Store(false)
			h.write(" a line\nnext\n")
			h.start()
			h.Until("the rest is there", func() bool { return h.has(`"message":"next"`) })
			h.pause()
			h.check("half a line\nnext\n")
		})
	}
}

// Whenever a file stands still, and whenever the shipper dies, with or without its answers: the
// file comes back, and no line has two contents.
func TestHalfLinesAtRandom(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		h := newHalfLines(t)
		text := ""
		write := func(s string) {
			text += s
			h.write(s)
		}
		write("first\n")
		h.start()
		for range rapid.IntRange(1, 8).Draw(rt, "steps") {
			switch rapid.IntRange(0, 4).Draw(rt, "step") {
			case 0, 1:
				write(rapid.SampledFrom([]string{"a", "\n", "b\n", "\n\nc", strings.Repeat("long ", 1000)}).Draw(rt, "text"))
			case 2:
				if h.lost.Load() {
					time.Sleep(2 * shortHalfLine) // the same put is tried again and again
				} else {
					h.Until("all is there, also the last line", func() bool { return h.hasAll(text) })
				}
			case 3:
				h.lost.Store(!h.lost.Load())
			case 4:
				h.stop()
				h.start()
			}
		}
		h.lost.Store(false)
		write("end")
		h.pause()
		h.check(text)
	})
}
