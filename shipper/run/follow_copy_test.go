package run

// This file tests rotations by copying: `cp app.log app-1.log; : >app.log`.

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"perstack-shipper/shipper/testkit"
	"perstack-shipper/shipper/testkit/await"
)

// rotate copies a file and truncates it.
func (w *world) rotate(from, to string) {
	w.t.Helper()
	w.copy(from, to)
	if err := os.Truncate(w.path(from), 0); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) copy(from, to string) {
	w.t.Helper()
	data, err := os.ReadFile(w.path(from))
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(w.path(to), data, 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// linesOnce checks that each line was shipped as often as it was written.
func (w *world) linesOnce(text string) {
	w.t.Helper()
	var got []string
	for _, in := range w.shipped() {
		got = append(got, strings.SplitAfter(w.text(in), "\n")...)
	}
	want := strings.SplitAfter(text, "\n")
	slices.Sort(got)
	slices.Sort(want)
	got, want = slices.DeleteFunc(got, func(l string) bool { return l == "" }), slices.DeleteFunc(want, func(l string) bool { return l == "" })
	if !slices.Equal(got, want) {
		w.t.Errorf("%d lines are shipped, %d were written", len(got), len(want))
	}
}

func TestRotatedCopyIsNotShippedAgain(t *testing.T) {
	w := newWorld(t)
	text := lines("a", 0, 600)
	w.write("app.log", text)
	p := w.follow(paths(w.events))
	await.Until(t, "app.log is shipped", func() bool { return w.has(w.path("app.log"), text) })
	w.rotate("app.log", "app-1.log")
	w.write("app.log.1.gz", "no log\n")
	w.write("app.log", lines("b", 0, 5))
	text += lines("b", 0, 5)
	await.Until(t, "the new lines are shipped", func() bool { return w.has(w.path("app.log"), lines("b", 0, 5)) })
	await.Until(t, "the copy is recognised", func() bool {
		return p.says(w.path("app-1.log") + " is a copy of " + w.path("app.log"))
	})
	w.write("app-1.log", "what the copy has beyond\n")
	text += "what the copy has beyond\n"
	await.Until(t, "the rest of the copy is shipped", func() bool { return w.has(w.path("app-1.log"), "what the copy has beyond\n") })
	p.stop(Delivered)
	if p.says("lost") || strings.Count(p.said(), "is a copy of") != 1 {
		t.Error("it reports a loss, or the copy twice")
	}
	w.linesOnce(text)

	// The next start still knows the copy, even under another name.
	w.rename("app-1.log", "app-2.log")
	w.write("app-2.log", "and more\n")
	w.follow(once(300*time.Millisecond, w.events)).wait(Delivered)
	w.linesOnce(text + "and more\n")
}

func TestRotatedByCopyingWhileNobodyLooks(t *testing.T) {
	for name, rotate := range map[string]func(w *world){
		"cut": func(w *world) { w.rotate("app.log", "app-1.log") },
		"made again": func(w *world) {
			w.copy("app.log", "app-1.log")
			if err := os.Remove(w.path("app.log")); err != nil {
				w.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.write("app.log", lines("a", 0, 600))
			w.follow(once(100*time.Millisecond, w.events)).wait(Delivered)
			w.write("app.log", lines("a", 600, 700))
			time.Sleep(20 * time.Millisecond) // the kernel's clock for files ticks only every few milliseconds
			rotate(w)
			w.write("app.log", lines("b", 0, 5))
			for range 2 {
				p := w.follow(once(100*time.Millisecond, w.events))
				p.wait(Delivered)
				w.linesOnce(lines("a", 0, 700) + lines("b", 0, 5))
			}
		})
	}
}

func TestTenRotationsInASecond(t *testing.T) {
	w := newWorld(t)
	p := w.follow(paths(w.events))
	text := ""
	for n := range 10 {
		for part := range 5 {
			more := lines(fmt.Sprint("job", n), part*10, part*10+10)
			w.write("app.log", more)
			text += more
			time.Sleep(15 * time.Millisecond)
		}
		w.rotate("app.log", fmt.Sprintf("app-%d.log", n))
	}
	w.write("app.log", lines("last", 0, 1))
	text += lines("last", 0, 1)
	await.Until(t, "everything is shipped", func() bool {
		n := 0
		for _, in := range w.shipped() {
			got, _ := in.Text()
			n += strings.Count(got, "\n")
		}
		return n >= strings.Count(text, "\n")
	})
	// When it stops, the shipper ships a copy that it has not recognised yet.
	for n := range 10 {
		copied := fmt.Sprintf("app-%d.log", n)
		await.Until(t, copied+" is recognised or shipped", func() bool {
			return p.says(copied+" is a copy of") ||
				slices.ContainsFunc(w.shipped(), func(in *testkit.Input) bool { return in.Path == w.path(copied) })
		})
	}
	want := Delivered
	if p.says("app.log was truncated or rewritten: at least ") {
		want = Rejected // a busy machine did not read all of it in time, but the copy has the rest
	}
	p.stop(want)
	w.linesOnce(text)
}

// Two files that only begin with the same lines are both shipped, and so is a copy of a file that
// nobody truncates.
func TestSameBeginningIsNoCopy(t *testing.T) {
	w := newWorld(t)
	const same = "starting worker\nconnected\n"
	w.write("a.log", same)
	p := w.follow(paths(w.events), func(s *setup) { s.JobID, s.Patience.Follow.Copy = "job", 300*time.Millisecond })
	await.Until(t, "the first is shipped", func() bool { return w.has(w.path("a.log"), same) })
	w.write("b.log", same)
	w.write("c.log", same, "and more\n")
	await.Until(t, "both others are shipped", func() bool { return w.has(w.path("b.log"), same) && w.has(w.path("c.log"), same+"and more\n") })
	p.stop(Delivered)
	w.linesOnce(same + same + same + "and more\n")
}
