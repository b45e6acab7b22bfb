//go:build linux

package chaos

// A campaign uses one journal folder and one endpoint. In each round a process is killed, stopped
// or told to end while calls fail. At the end all faults cease, a last process ships the rest, and
// everything is compared.

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

type campaign struct {
	t     testing.TB
	name  string
	rng   *rand.Rand
	tally *tally
	end   *endpoint
	opt   options
	disk  *disk     // nil: an ordinary disk
	file  *followed // nil: no file is followed

	inputs []*procInput
	agents []*agent
	ends   []func() // each waits until an agent is gone, and records what it wrote
	procs  int
	cut    bool     // an agent truncated its stdout
	broken []string // what processes did wrong
}

// newPlainCampaign returns a campaign with a journal folder and an endpoint and nothing unusual.
func newPlainCampaign(t testing.TB, seed, n uint64, tally *tally) *campaign {
	c := &campaign{t: t, name: fmt.Sprintf("CHAOS_SEED=%d, campaign %d", seed, n), rng: rand.New(rand.NewPCG(seed, n)), tally: tally}
	c.end = newEndpoint(t, seed, n, tally)
	dir := t.TempDir()
	c.opt = options{
		folder: journalIn(dir), url: c.end.url, stderrs: filepath.Join(dir, "stderr"), tally: tally,
		max: "4GiB", stream: "{jobId}", sync: "0", memory: "8MiB",
	}
	if err := os.Mkdir(c.opt.stderrs, 0o700); err != nil {
		t.Fatal(err)
	}
	return c
}

// newCampaign returns a campaign with random features.
func newCampaign(t testing.TB, seed, n uint64, tally *tally) *campaign {
	c := newPlainCampaign(t, seed, n, tally)
	c.opt.perhaps = true
	c.end.poison = c.rng.IntN(3) == 0
	dir := filepath.Dir(c.opt.stderrs)
	if c.rng.IntN(3) == 0 {
		c.opt.stream = "{jobId}/{runId}"
	}
	if c.rng.IntN(2) == 0 {
		c.file = grow(t, filepath.Join(dir, "events.jsonl"), newSpeaker(c.rng, c.end.poison), rand.New(rand.NewPCG(seed, n)))
		c.inputs = append(c.inputs, c.file.in)
	}
	switch c.rng.IntN(6) {
	case 0:
		c.opt.max = "16MiB"
	case 1:
		c.opt.sync = "1ms" // sync the disk all the time
	case 2, 3:
		if c.disk = newDisk(t, filepath.Join(dir, "disk"), 1+c.rng.IntN(3), tally); c.disk != nil {
			c.opt.folder = journalIn(c.disk.path)
		}
	}
	return c
}

// run runs the campaign: at least minRounds, then until the time is up, and at most rounds.
func (c *campaign) run(rounds int, until time.Time) {
	for n := range rounds {
		if n >= minRounds && time.Now().After(until) {
			break
		}
		c.round()
		c.tally.add(func(y *tally) { y.rounds++ })
	}
	c.conclude()
}

// conclude ships the rest, compares, and reports what is wrong.
func (c *campaign) conclude() {
	c.opt.perhaps = false
	c.finish()
	v := compare(c.inputs, c.end, c.opt.folder)
	c.tally.add(func(y *tally) {
		y.campaigns++
		y.lines += v.lines
		y.bytes += v.bytes
		y.repeats += v.repeats
		y.rejects += v.rejects
		y.lost += v.lost
		y.altered += v.altered
	})
	faults := slices.Concat(c.broken, v.faults, c.verify(v))
	for i, f := range faults {
		if i == 20 {
			c.t.Errorf("%s: and %d more", c.name, len(faults)-i)
			break
		}
		c.t.Errorf("%s: %.6000s", c.name, f)
	}
}

// round runs one process, or two at once, and disturbs them.
func (c *campaign) round() {
	c.end.set(weathers[c.rng.IntN(len(weathers))])
	if c.disk != nil {
		c.disk.squeeze(c.rng)
	}
	ps := []*process{c.start()}
	if c.rng.IntN(8) == 0 {
		ps = append(ps, c.start())
	}
	for _, p := range ps {
		c.disturb(p)
	}
	for _, p := range ps {
		c.settle(p)
	}
}

func (c *campaign) start() *process {
	c.procs++
	var data []byte
	s := newSpeaker(c.rng, c.end.poison)
	switch roll := c.rng.IntN(100); {
	case roll < 10: // no input
	case roll < 60:
		data = s.say(c.rng.IntN(30_000))
	case roll < 97:
		data = s.say(c.rng.IntN(400_000))
	case roll < 99 && c.opt.max != "4GiB":
		data = s.say(20_000_000) // more than the journal can hold
	case roll < 99:
		data = s.say(3_000_000)
	default:
		data = append(s.say(10_000), s.veryLong()...)
	}
	name, drain := fmt.Sprintf("p%d", c.procs), time.Duration(1000+c.rng.IntN(1000))*time.Millisecond
	switch roll := c.rng.IntN(20); {
	case roll == 0:
		c.count("resume")
		return c.opt.resume(c.t, c.rng, name, drain)
	case roll <= 5 && c.file != nil:
		c.count("following")
		return c.opt.follow(c.t, c.rng, name, c.file, drain)
	case roll <= 10 && c.disk == nil: // exec refuses to start a command on a small disk
		c.count("exec")
		return c.opt.exec(c.t, c.rng, name, data, s.say(c.rng.IntN(20_000)), drain)
	}
	c.count("of a pipe")
	return c.opt.ship(c.t, c.rng, name, data, drain)
}

func (c *campaign) count(kind string) { c.tally.add(func(y *tally) { y.procs[kind]++ }) }

func (c *campaign) pause(most time.Duration) {
	time.Sleep(time.Duration(c.rng.Int64N(int64(most))))
}

// disturb ends the process in one of many ways, though in a few cases it ends by itself.
func (c *campaign) disturb(p *process) {
	span := []time.Duration{10, 10, 30, 30, 60, 60, 120, 300}[c.rng.IntN(8)] * time.Millisecond
	if p.traced {
		p.wait(500 * time.Millisecond) // strace is slow
	}
	c.pause(span)
	roll := c.rng.IntN(100)
	if roll < 8 && c.end.delete(roll < 4, c.rng.IntN(100)) {
		c.pause(span)
	}
	if roll >= 8 && roll < 14 {
		c.signal(p, syscall.SIGSTOP, "STOP")
		c.pause(30 * time.Millisecond)
		c.signal(p, syscall.SIGCONT, "")
		c.pause(span)
	}
	switch roll := c.rng.IntN(100); {
	case roll < 10: // during a put
		dead := make(chan struct{})
		c.end.atNextPut(func() {
			c.signal(p, syscall.SIGKILL, "KILL")
			close(dead)
		})
		select {
		case <-dead:
		case <-p.exited:
		case <-time.After(100 * time.Millisecond):
		}
		c.end.atNextPut(nil)
	case roll < 20:
		c.signal(p, syscall.SIGTERM, "TERM")
		if c.rng.IntN(3) == 0 {
			c.pause(60 * time.Millisecond)
			c.signal(p, syscall.SIGTERM, "second TERM")
			p.wait(5 * time.Second)
		} else if c.rng.IntN(3) == 0 {
			p.wait(5 * time.Second)
		} else {
			c.pause(100 * time.Millisecond)
		}
	case roll < 23: // the weather improves, and the process gets some time
		c.end.set(breezy)
		p.wait(500 * time.Millisecond)
	}
	if !p.wait(0) && p.signal(syscall.SIGKILL) == nil {
		p.traced = false // this kill ended it, not strace's
	}
}

func (c *campaign) signal(p *process, sig syscall.Signal, name string) {
	if p.signal(sig) == nil && name != "KILL" && name != "" { // kills are counted once they have taken effect
		c.tally.add(func(y *tally) { y.signals[name]++ })
	}
}

// settle waits for a process to die, and records what it read and how far each input is
// acknowledged. Whatever it read from its pipe must be in its journal, however it died. What its
// agent wrote is known only once the agent is gone.
func (c *campaign) settle(p *process) {
	if !p.wait(patience) {
		c.broken = append(c.broken, fmt.Sprintf("process %s did not end; its stderr:\n%s", p.name, p.says()))
		_ = p.signal(syscall.SIGQUIT) // prints its goroutines
		p.wait(patience)
		_ = p.signal(syscall.SIGKILL)
		<-p.exited
	}
	reap()
	if p.killed {
		c.tally.add(func(y *tally) {
			if y.signals["KILL"]++; p.traced {
				y.atCalls++
			}
		})
	}
	left, err := whatIsKept(c.opt.folder)
	if err != nil {
		c.t.Fatal(err)
	}
	var consumed int64
	switch {
	case p.file != nil:
		p.r.Close()
	case p.agent != nil:
		out, errs := &procInput{proc: p.name}, &procInput{proc: p.name + ".err"}
		c.inputs = append(c.inputs, out, errs)
		c.agents = append(c.agents, p.agent)
		c.ends = append(c.ends, func() {
			if !p.agent.wait(out, errs) {
				c.broken = append(c.broken, fmt.Sprintf("the agent of process %s did not end or did not record what it wrote; the process's stderr:\n%s", p.name, p.says()))
			}
			if p.agent.cut {
				c.cut = true
				c.tally.add(func(y *tally) { y.cuts++ })
			}
			if p.agent.cut && !p.killed && p.code() == 0 {
				c.broken = append(c.broken, fmt.Sprintf("the agent of process %s truncated its stdout, but the process ended with 0; its stderr:\n%s", p.name, p.says()))
			}
		})
	default:
		if consumed, err = p.consumed(); err != nil {
			c.t.Fatal(err)
		}
		in := &procInput{proc: p.name, data: p.data[:consumed]}
		if k, ok := left[p.name]; ok {
			in.data = p.data[:min(k.size, consumed)]
			if k.size != consumed {
				c.broken = append(c.broken, fmt.Sprintf("process %s (%s) read %d bytes but kept %d; its stderr:\n%s", p.name, p.state, consumed, k.size, p.says()))
			}
		}
		c.inputs = append(c.inputs, in)
	}
	c.recordCursors(left)
	if what := p.misbehaved(consumed); what != "" {
		c.broken = append(c.broken, fmt.Sprintf("process %s (%s): %s:\n%s", p.name, p.state, what, p.says()))
	}
	if bytes.Contains(p.says(), []byte("the input waits")) {
		c.tally.add(func(y *tally) { y.fullDisks++ })
	}
}

// recordCursors records the cursors.
func (c *campaign) recordCursors(left map[string]kept) {
	puts := c.end.now()
	for _, in := range c.inputs {
		if k, ok := left[in.proc]; ok {
			in.cursors = append(in.cursors, cursorAt{puts, k.cursor})
		} else if !in.paused {
			in.cursors = append(in.cursors, cursorAt{puts, math.MaxInt64}) // removed, so all of it was delivered
		}
	}
}

// finish ships the rest. A single process must be able to do it, without input of its own or with
// that of the followed file.
func (c *campaign) finish() {
	c.end.set(calm)
	// An agent that was stopped for lack of space when its shipper was killed continues with the
	// next shipper.
	for range 10 {
		if !slices.ContainsFunc(c.agents, func(a *agent) bool { return !a.gone(time.Second) }) {
			break
		}
		c.procs++
		p := c.opt.resume(c.t, c.rng, fmt.Sprintf("p%d", c.procs), patience)
		p.w.Close()
		c.settle(p)
	}
	for _, wait := range c.ends {
		wait()
	}
	if c.file != nil {
		if err := c.file.end(); err != nil {
			c.t.Fatal(err)
		}
	}
	switch {
	case c.disk == nil:
	case c.end.poison: // rejected events may need more space than there is
		if err := c.disk.grow(); err != nil {
			c.t.Fatal(err)
		}
	default: // the program must make room by itself
		c.disk.relax()
	}
	var p *process
	switch {
	case c.file != nil:
		p = c.opt.follow(c.t, c.rng, "last", c.file, patience, "--until-idle", "1s")
	case c.rng.IntN(2) == 0:
		p = c.opt.resume(c.t, c.rng, "last", patience)
	default:
		p = c.opt.ship(c.t, c.rng, "last", nil, patience)
	}
	p.w.Close()
	if !p.wait(patience) {
		c.broken = append(c.broken, fmt.Sprintf("the last process did not end; its stderr:\n%s", p.says()))
		_ = p.signal(syscall.SIGQUIT)
		p.wait(patience)
	}
	if p.wait(0) && p.code() != 0 && (p.code() != 65 || !c.end.poison && !c.cut) {
		c.broken = append(c.broken, fmt.Sprintf("the last process ended with %s; its stderr:\n%s", p.state, p.says()))
	}
	c.settle(p)
	left, err := whatIsKept(c.opt.folder)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, k := range left {
		if c.file != nil && k.proc == c.file.in.proc && k.cursor == int64(len(c.file.in.data)) {
			continue // kept for a later process that follows the file
		}
		c.broken = append(c.broken, fmt.Sprintf("%s is left with its cursor at %d of %d; the last process's stderr:\n%s", k.dir, k.cursor, k.size, p.says()))
	}
}
