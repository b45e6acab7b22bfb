//go:build linux

package chaos

import (
	"fmt"
	"strings"
	"sync"
)

// tally collects the statistics of a run, over all campaigns.
type tally struct {
	mu        sync.Mutex // campaigns run in parallel
	campaigns int
	rounds    int
	procs     map[string]int // processes by kind
	signals   map[string]int
	faults    map[kind]int
	puts      map[bool]int // by whether they were compressed
	lines     int
	bytes     int64
	repeats   int
	rejects   int
	lost      int
	altered   int
	fullDisks int // processes that found the journal or disk full
	slowDisks int // processes with a slow disk
	cuts      int // agents that truncated their stdout
	atCalls   int // kills at a disk call
	said      map[string]bool
}

func newTally() *tally {
	return &tally{procs: map[string]int{}, signals: map[string]int{}, faults: map[kind]int{}, puts: map[bool]int{}, said: map[string]bool{}}
}

func (y *tally) fault(k kind) { y.add(func(y *tally) { y.faults[k]++ }) }

// once calls say the first time that it is called with what.
func (y *tally) once(what string, say func()) {
	first := false
	y.add(func(y *tally) { first, y.said[what] = !y.said[what], true })
	if first {
		say()
	}
}

func (y *tally) put(compressed bool) { y.add(func(y *tally) { y.puts[compressed]++ }) }

func (y *tally) add(f func(*tally)) {
	y.mu.Lock()
	defer y.mu.Unlock()
	f(y)
}

// String returns the report, on one line.
func (y *tally) String() string {
	y.mu.Lock()
	defer y.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "%d campaigns, %d rounds, processes: %d of a pipe, %d exec, %d following, %d resume; %d kills -9 (%d at a disk call)",
		y.campaigns, y.rounds, y.procs["of a pipe"], y.procs["exec"], y.procs["following"], y.procs["resume"], y.signals["KILL"], y.atCalls)
	for _, name := range []string{"TERM", "second TERM", "STOP"} {
		fmt.Fprintf(&b, ", %d %s", y.signals[name], name)
	}
	total := 0
	var each []string
	for _, k := range []kind{throttle, fail500, fail503, fail500After, resetBefore, resetAfter, late, hang, cut, expired, denied, dropped, refusedAll, poisoned, deletion} {
		total += y.faults[k]
		each = append(each, fmt.Sprintf("%d %s", y.faults[k], k))
	}
	fmt.Fprintf(&b, "; %d faults (%s), %d full journals, %d slow disks, %d stdouts truncated", total, strings.Join(each, ", "), y.fullDisks, y.slowDisks, y.cuts)
	fmt.Fprintf(&b, "; %d puts compressed and %d plain; %d lines, %d bytes, %d repeats, %d rejected as they should be", y.puts[true], y.puts[false], y.lines, y.bytes, y.repeats, y.rejects)
	fmt.Fprintf(&b, "; lost %d, altered %d", y.lost, y.altered)
	return b.String()
}
