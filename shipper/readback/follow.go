package readback

// This file reads a job while it is still being shipped. It reads again and again, as Read does,
// and hands over what is new.
//
// CloudWatch orders a stream by the events' times and shows new events late. A new event may
// therefore sort before those that were read, where the token of the last page would miss it. So
// each look begins a little before the newest event, and skips by seq what was handed over before.
// A missing line holds up those after it and makes the next looks begin earlier.

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"perstack-shipper/shipper/cloudwatch"
)

// Following holds the options of [Follow]. The zero value is usable.
type Following struct {
	// Every is the pause between two looks. 0 means one second.
	Every time.Duration
	// Patience is how long a missing line holds up those after it. 0 means 10 s.
	Patience time.Duration
	// Waiting is called once if the group holds nothing of the job yet. Trouble is called with the
	// error of calls that fail and are retried, at most once a minute. Either may be nil.
	Waiting func()
	Trouble func(error)
}

const (
	overlap     = 10 * time.Second // how far before the newest event a look begins
	wideOverlap = 10 * time.Minute // the same while a line is missing
	lookBack    = 3 * time.Second  // how long a line is missing before everything is read again
	searchEvery = 30 * time.Second
	sayEvery    = time.Minute
)

// Follow is [Read] for a job that is still running. It hands over lines as they become readable:
// those of one input in the order of seq, those of several inputs interleaved. It does not hand
// over records. It returns once every input has its final seal and all its lines have been handed
// over. A View that has a method Flush() error is flushed after each look.
func Follow(ctx context.Context, src Source, q Query, how Following, view View) (Report, error) {
	how.Every = cmp.Or(how.Every, time.Second)
	how.Patience = cmp.Or(how.Patience, 10*time.Second)
	c, err := newCollected(src, &q)
	if err != nil {
		return c.report, err
	}
	c.after = map[string]int64{}
	f := follower{how: how, c: c, w: walker{c: c, view: view}, places: map[*Input]*place{}}
	defer func() { c.store.close() }()
	for {
		ended, err := f.look(ctx)
		if err != nil {
			if err = f.outlive(ctx, err); err != nil {
				return f.report(), err
			}
		}
		if v, ok := view.(interface{ Flush() error }); ok {
			if err := v.Flush(); err != nil {
				return f.report(), err
			}
		}
		if ended {
			break
		}
		if err := sleep(ctx, how.Every); err != nil {
			return f.report(), err
		}
	}
	if f.w.damage.Total > 0 {
		return f.report(), &f.w.damage
	}
	return f.report(), nil
}

// follower is the state of one call of [Follow].
type follower struct {
	how    Following
	c      *collected // gets a new store for each look
	w      walker
	places map[*Input]*place

	streams  []string // streams of the job that the template does not name
	read     []string // all streams that were read
	searched time.Time
	waiting  bool      // Waiting was called
	told     time.Time // when Trouble was last called
}

// place is how far an input has been followed.
type place struct {
	position
	floor int64     // where the next look begins, in ms since 1970
	held  time.Time // since when a line is missing, or zero
	deep  time.Time // when everything was last read again to find it
	ended bool
	some  bool // at least one line was handed over
}

// look reads new events and hands over their lines. It reports whether all inputs have ended.
func (f *follower) look(ctx context.Context) (ended bool, err error) {
	c := f.c
	c.store.close()
	c.store = newStore(c.store.memory)
	c.report.Streams, c.absent, c.records = nil, nil, 0
	c.from = f.from(time.Now())
	names, err := c.streams(ctx)
	if err != nil {
		return false, err
	}
	if err := f.readSome(ctx, append(names, f.streams...)); err != nil {
		return false, err
	}
	if len(c.q.Streams) == 0 && (c.q.Search || !c.found()) && time.Since(f.searched) > searchEvery {
		f.searched = time.Now()
		names, err := c.search(ctx)
		if err != nil {
			return false, err
		}
		if err := f.also(ctx, names); err != nil {
			return false, err
		}
	}
	if err := f.also(ctx, c.early()); err != nil {
		return false, err
	}
	if !c.found() {
		if !f.waiting && f.how.Waiting != nil {
			f.how.Waiting()
		}
		f.waiting = true
		return false, nil
	}
	return f.hand(ctx)
}

// readSome reads streams. It ignores that a stream does not exist, because the shipper may still
// create it.
func (f *follower) readSome(ctx context.Context, names []string) error {
	err := f.c.read(ctx, names)
	if call, ok := errors.AsType[*CallError](err); ok && cloudwatch.Classify(call.Err) == cloudwatch.Missing {
		err = nil
	}
	for _, name := range f.c.report.Streams {
		if !slices.Contains(f.read, name) {
			f.read = append(f.read, name)
		}
	}
	return err
}

// also reads streams now and in each later look. It reads a stream that it did not know from its
// start.
func (f *follower) also(ctx context.Context, names []string) error {
	for _, name := range names {
		if slices.Contains(f.read, name) || slices.Contains(f.streams, name) {
			continue
		}
		f.streams = append(f.streams, name)
		from := f.c.from
		f.c.from = 0
		err := f.readSome(ctx, []string{name})
		f.c.from = from
		if err != nil {
			return err
		}
	}
	return nil
}

// from returns where a look begins, in ms since 1970.
func (f *follower) from(now time.Time) int64 {
	from := int64(-1)
	for _, p := range f.places {
		floor := p.floor
		switch {
		case p.ended:
			continue
		case p.held.IsZero():
		case now.Sub(p.held) < lookBack || now.Sub(p.deep) < lookBack:
			floor -= wideOverlap.Milliseconds()
		default:
			floor, p.deep = 0, now
		}
		if from < 0 || floor < from {
			from = max(floor, 0)
		}
	}
	return max(from, 0)
}

// hand hands over the new lines of each input. It reports whether all inputs have ended.
func (f *follower) hand(ctx context.Context) (ended bool, err error) {
	c := f.c
	order := make([]int32, 0, len(c.inputs))
	for i, in := range c.inputs {
		if in.ours() {
			order = append(order, int32(i))
		}
	}
	slices.SortFunc(order, func(i, j int32) int { return cmp.Compare(c.inputs[i].Time, c.inputs[j].Time) })
	ended = true
	for _, i := range order {
		in := c.inputs[i]
		c.conclude(in)
		p := f.places[in]
		if p == nil {
			p = &place{position: position{gapless: true}}
			f.places[in] = p
			if err := f.w.view.Input(in); err != nil {
				return false, err
			}
		}
		if p.ended {
			continue
		}
		if err := f.input(ctx, i, p); err != nil {
			return false, err
		}
		ended = ended && p.ended
	}
	return ended, nil
}

// input hands over the new lines of one input up to the first missing one. Once that has been
// missing for longer than the patience, input skips it.
func (f *follower) input(ctx context.Context, i int32, p *place) error {
	before := f.c.report.Lines
	held, err := f.walk(ctx, i, p, true)
	if err != nil {
		return err
	}
	switch now := time.Now(); {
	case !held:
		p.held, p.deep = time.Time{}, time.Time{}
	case p.held.IsZero():
		p.held = now
	case now.Sub(p.held) > f.how.Patience:
		if _, err := f.walk(ctx, i, p, false); err != nil {
			return err
		}
		p.held, held = time.Time{}, false
	}
	in := f.w.in
	if !held {
		p.floor = in.newest - overlap.Milliseconds()
	}
	f.c.after[in.ID] = p.seen
	if !p.some && f.c.report.Lines > before {
		p.some = true
		f.c.report.Inputs++
	}
	if in.Seal == nil || !in.Seal.Ended || held {
		return nil
	}
	p.ended = true
	in.LastSeq, in.Trailing = p.seq, 0
	if p.gapless {
		in.Trailing = max(0, in.emptyLines-p.empty)
	}
	return f.w.view.End(in)
}

// walk hands over the lines of an input after its place. With hold it stops at a missing line and
// returns true.
func (f *follower) walk(ctx context.Context, i int32, p *place, hold bool) (held bool, err error) {
	w := &f.w
	w.in, w.position, w.hold = f.c.inputs[i], p.position, hold
	w.known = newKnown(w.in.Seal)
	w.joint.start(0)
	if w.seen < w.in.firstSeq {
		if err := w.findLead(ctx, i); err != nil {
			return false, err
		}
	}
	err = f.c.store.each(ctx, i, func(c *itemReader) error {
		if c.head.seq == 0 || c.head.seq <= p.seen {
			return nil // a record, or a line that the previous walk handed over
		}
		return w.item(c)
	})
	if err == nil {
		err = w.endParts()
	}
	last := int64(0)
	if w.in.Seal != nil {
		last = w.in.Seal.LastSeq
	}
	if err == nil && hold && w.lacks(last) {
		err = errHeld
	}
	if err == errHeld {
		if w.joint.open() {
			w.position = w.before
		}
		p.position = w.position
		return true, nil
	}
	if err == nil && !hold {
		err = w.gap(last+1, 0)
		w.seen = max(w.seen, last)
	}
	p.position = w.position
	return false, err
}

// outlive returns nil for an error that may pass, so that the next look tries again, and any other
// error unchanged.
func (f *follower) outlive(ctx context.Context, err error) error {
	call, ok := errors.AsType[*CallError](err)
	if !ok || ctx.Err() != nil {
		return err
	}
	switch cloudwatch.Classify(call.Err) {
	case cloudwatch.Retry, cloudwatch.Throttled, cloudwatch.Again, cloudwatch.Credentials:
	default:
		return err
	}
	if f.how.Trouble != nil && time.Since(f.told) > sayEvery {
		f.told = time.Now()
		f.how.Trouble(err)
	}
	return nil
}

func (f *follower) report() Report {
	report := f.c.report
	report.Streams = f.read
	report.Repeats = 0 // unknown: each look reads some events of the previous one again
	report.Ended = len(f.places) > 0
	for _, p := range f.places {
		report.Ended = report.Ended && p.ended
	}
	return report
}
