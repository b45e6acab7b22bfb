package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"perstack-shipper/shipper/cwlocal"
	"perstack-shipper/shipper/cwlocal/localtest"
	"perstack-shipper/shipper/testkit"
)

// line returns an event as an agent writes it.
func line(job string, n int) string {
	return fmt.Sprintf(`{"type":"callTools","timestamp":1795347082176,"jobId":%q,"runId":"r","n":%d}`+"\n", job, n)
}

func lines(job string, from, to int) string {
	var b strings.Builder
	for n := from; n < to; n++ {
		b.WriteString(line(job, n))
	}
	return b.String()
}

// A folder may have more files than the program may have descriptors. Idle files give theirs up.
func TestMoreFilesThanDescriptors(t *testing.T) {
	w := newSidecar(t)
	const files = 40
	texts := make([]string, files)
	name := func(n int) string { return fmt.Sprintf("run-%03d.jsonl", n) }
	add := func(n int) {
		more := line(fmt.Sprint("job", n%3), n*1000+strings.Count(texts[n], "\n"))
		w.write(name(n), more)
		texts[n] += more
	}
	all := func() bool {
		got := map[string]int{}
		for _, in := range w.shipped() {
			text, _ := in.Text()
			got[text]++
		}
		return !slices.ContainsFunc(texts, func(text string) bool { return got[text] != 1 })
	}
	for n := range files {
		add(n)
	}
	// Files that cannot be delivered while CloudWatch is down are not forgotten either.
	w.FailPuts(localtest.Unavailable())
	limited := func() *testkit.Process {
		return w.Start(w.sh(`ulimit -n 200 && exec perstack-shipper --input "$1"`, w.events))
	}
	p := limited()
	w.Until("some puts have failed", func() bool { return w.Server.Stats().Errors["ServiceUnavailableException"] > 5 })
	w.FailPuts(cwlocal.Fault{})
	w.Until("one is shipped", func() bool { return len(w.shipped()) > 0 })
	p.Stop(0) // files without a descriptor so far were written before the signal
	if !all() {
		t.Errorf("%d of %d files are shipped", len(w.shipped()), files)
	}
	p = limited()
	for n := 0; n < files; n += 7 {
		add(n)
	}
	w.Until("the new lines are shipped", all)
	w.rename(name(0), "another.jsonl")
	w.rename(name(1), "run.old")
	w.Until("the input whose file no longer matches has ended", func() bool { return len(w.Kept()) == files-1 })
	for n := 0; n < files; n += 11 {
		if n > 0 {
			add(n)
		}
	}
	p.Stop(0)
	if strings.Contains(p.Said(), "too many open files") {
		t.Error("the program ran out of descriptors")
	}
	if !all() || len(w.shipped()) != files {
		t.Errorf("everything is shipped: %v, as %d inputs", all(), len(w.shipped()))
	}
}
