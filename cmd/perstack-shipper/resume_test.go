package main

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"perstack-shipper/shipper/testkit"
)

// A command that survived its shipper keeps writing. resume ships its output to its end, and other
// starts do not wait for it.
func TestResumeOfALivingChild(t *testing.T) {
	w := newSidecar(t)
	script := fmt.Sprintf(`echo '{"jobId":"child","n":1}'; while [ ! -e %[1]s ]; do sleep 0.05; done; echo '{"jobId":"child","n":2}'`, w.path("go"))
	t.Cleanup(func() { w.write("go") })
	p := w.exec(script)
	const first, second = `{"jobId":"child","n":1}` + "\n", `{"jobId":"child","n":2}` + "\n"
	shipped := func(text string) bool {
		return slices.ContainsFunc(w.shipped(), func(in *testkit.Input) bool { got, _ := in.Text(); return got == text })
	}
	w.Until("its first line is shipped", func() bool { return shipped(first) })
	p.Kill()

	began := time.Now()
	w.Start(w.piped([]byte(lines("own", 0, 3)))).Wait(0)
	p = w.Start(w.command("resume"))
	w.Until("resume is at work", func() bool { return strings.Contains(p.Said(), "from where it stopped") })
	p.Signal(syscall.SIGTERM)
	p.Wait(75)
	p.MustSay("has not ended")
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("it took %s to stop", took)
	}

	p = w.Start(w.command("resume"))
	w.Until("resume is at work", func() bool { return strings.Contains(p.Said(), "from where it stopped") })
	w.write("go")
	p.Wait(0)
	if !ended(t, w.input(first+second)) || len(w.Kept()) > 0 {
		t.Errorf("the seal does not say that the input has ended, or the journal still holds %q", w.Kept())
	}
}
