package shipper

// These tests follow files whose last line has no newline. A line that nobody finishes is shipped,
// and if it continues later, it is still the same file.

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
	"perstack-shipper/shipper/testkit/await"
)

// halfLines is a followed file that one process after the other ships.
type halfLines struct {
	*world
	path string
	lost atomic.Bool // puts are carried out, but their answers are lost
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

// start ships the file until stop is called.
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
	h.stop = func() { cancel(); await.Receive(h.t, "the end of the run", ended) }
}

// pause ends the shipping as a signal does.
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

// check compares what CloudWatch has with the file. Gathered fails the test if CloudWatch has a
// line twice with different bytes.
func (h *halfLines) check(text string) {
	h.t.Helper()
	if got := string(h.lines(halfID)); got != text {
		h.t.Errorf("got %q back, want %q", got, text)
	}
	seal := h.seal(halfID, "job")
	sum := sha256.Sum256([]byte(text))
	if want := hex.EncodeToString(sum[:]); seal.RawSHA256 != want && (seal.RawSHA256 != "" || seal.SHA256 != want) {
		h.t.Errorf("the seal has digests %s and %s, want %s", seal.SHA256, seal.RawSHA256, want)
	}
}

// hasAll reports whether CloudWatch has everything that is written to the file so far. It ignores
// empty lines at the end, because they are shipped with the line after them.
func (h *halfLines) hasAll(text string) bool {
	in := h.Gathered()[halfID]
	if in == nil {
		return false
	}
	got, missing := in.Text()
	return missing == "" && strings.TrimRight(got, "\n") == strings.TrimRight(text, "\n")
}

// has reports whether CloudWatch has an event that contains text.
func (h *halfLines) has(text string) bool {
	for _, e := range h.Server.Events(h.Group, "job") {
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
	h.Until("the half line arrived", func() bool { return h.has(`"newline":false`) && h.has("nobody") })
	h.write(" has finished this\n\nnext\nand")
	h.Until("the next half line arrived", func() bool { return h.has(`"message":"and"`) })
	h.write("\n")
	h.write("last")
	h.pause()
	h.check("whole\nnobody has finished this\n\nnext\nand\nlast")
}

// A half line was stored but not acknowledged when the shipper died. The next shipper ships it as
// the same line, whatever was written in the meantime.
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
			h.Until("the half line arrived", func() bool { return h.has(`"message":"half"`) })
			h.stop()
			h.lost.Store(false)
			h.write(" a line\nnext\n")
			h.start()
			h.Until("the rest arrived", func() bool { return h.has(`"message":"next"`) })
			h.pause()
			h.check("half a line\nnext\n")
		})
	}
}

// Whenever the file stops growing and whenever the shipper dies, with or without answers to its
// puts, the whole file comes back, and no line has two contents.
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
					time.Sleep(2 * shortHalfLine) // nothing new arrives while answers are lost
				} else {
					h.Until("everything arrived", func() bool { return h.hasAll(text) })
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
