package child

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"go.uber.org/zap"

	"perstack-shipper/shipper/journal"
)

const (
	// mostMargin is how much room the command is stopped with, at most: what a process writes to memory at 1 GB/s in the 60 ms that a busy machine
	// may take to run us. Where there is less than four times as much, a quarter of what there is.
	mostMargin = 64 << 20
	// mostAhead is how much is allocated ahead of what the command writes, at most: nobody else can take that from it. A sixteenth where that is less.
	mostAhead = 16 << 20
	// leastRoom is what there must be at the start.
	leastRoom = 1 << 20

	nearLook  = time.Millisecond      // between looks while it writes and the margin is near
	heldLook  = 50 * time.Millisecond // between looks while it is stopped
	otherLook = 5 * time.Second       // others use the disk, too
	patience  = 5 * time.Second       // how long it may be stopped with some room before that must do
	sayAgain  = time.Minute
)

// Guard keeps a command from filling the disk: it does not ask before it writes, and dies of ENOSPC. It reserves space ahead of it, stops it before a
// bound is reached, and lets it go on when acknowledgements have given room back. Make it with NewGuard, call Run once.
type Guard struct {
	child Guarded
	o     GuardOptions
	log   *zap.Logger

	more chan *journal.Journal
	wake chan struct{}
	gone chan struct{}

	// Owned by Run, but for outputs and margin, which NewGuard sets.
	outputs []*output
	margin  int64
	ahead   int64
	bounded bool // limit can be kept: what is acknowledged is given back
	written int64
	since   time.Time // stopped, and when that was last said
	said    time.Time
	failed  bool // an error was said
}

// Guarded is the command that a Guard stops: a *Child, or the *Group of one that outlived its shipper.
type Guarded interface {
	Hold()
	Release()
	Held() bool
	Warned() bool
	Ended() bool
	Done() <-chan struct{}
}

// GuardOptions are what a Guard works by.
type GuardOptions struct {
	// Limit is how many bytes the command's journals may take together; 0: as many as there are.
	Limit int64
	// Stuck is called now and then while the command is stopped for long: what else keeps the journals from giving room back should let go.
	Stuck func()
	// Found: the command has run before, and is not refused for lack of room.
	Found bool
	Log   *zap.Logger
}

// output is a journal that the command writes.
type output struct {
	*journal.Journal
	reserved int64 // offset up to which the command needs no new blocks
}

// ahead is how much the command may write there without needing new blocks.
func (o *output) ahead() int64 { return max(0, o.reserved-o.Size()) }

// NewGuard returns a guard over child, which writes to these journals. journal.ErrFull says that there is too little room to begin with.
func NewGuard(child Guarded, o GuardOptions, outputs ...*journal.Journal) (*Guard, error) {
	g := &Guard{
		child: child, o: o, log: o.Log, bounded: o.Limit > 0,
		more: make(chan *journal.Journal), wake: make(chan struct{}, 1), gone: make(chan struct{}), since: time.Now(),
	}
	for _, j := range outputs {
		g.add(j)
	}
	room, which, err := g.room()
	if err != nil {
		return nil, err
	}
	if o.Found { // as much as there was when it began
		for _, out := range g.outputs {
			room += out.Allocated()
		}
	} else if room < leastRoom {
		return nil, fmt.Errorf("%w for what the command writes: %d bytes are left below %s, and it takes %d to begin with; free some, or name another folder", journal.ErrFull, room, which, leastRoom)
	}
	g.margin, g.ahead = min(room/4, mostMargin), min(room/16, mostAhead)
	return g, nil
}

// Add puts one more journal under guard, where the command's output has moved to.
func (g *Guard) Add(j *journal.Journal) {
	select {
	case g.more <- j:
	case <-g.gone:
	}
}

func (g *Guard) add(j *journal.Journal) {
	g.outputs = append(g.outputs, &output{Journal: j})
	g.bounded = g.bounded && j.PunchesHoles()
}

// Run guards until ctx ends.
func (g *Guard) Run(ctx context.Context) {
	ctx, stop := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer close(g.gone)
	defer watching.Wait()
	defer stop()
	for _, o := range g.outputs {
		watching.Go(func() { g.watch(ctx, o) })
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.child.Done():
			return
		case j := <-g.more:
			g.add(j)
			o := g.outputs[len(g.outputs)-1]
			watching.Go(func() { g.watch(ctx, o) })
		case <-g.wake:
		case <-timer.C:
		}
		timer.Reset(g.look(time.Now()))
	}
}

func (g *Guard) watch(ctx context.Context, o *output) {
	changed, unsubscribe := o.Subscribe()
	defer unsubscribe()
	for {
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
		select {
		case g.wake <- struct{}{}:
		default:
		}
	}
}

// look stops or continues the command as it must be, and says when to look again at the latest.
func (g *Guard) look(now time.Time) time.Duration {
	g.reserve()
	room, which, err := g.room()
	if err != nil {
		g.complain(err)
		return otherLook
	}
	margin := g.margin
	if g.child.Warned() { // it is about to end, and may need some to do so
		margin /= 4
	}
	held := g.child.Held()
	switch {
	case g.child.Ended(): // and cannot be stopped
		return otherLook
	case !held && room < margin:
		g.child.Hold()
		g.say(now, room, which)
		g.since = now
		return heldLook
	case held && (room >= 2*margin || room > margin && now.Sub(g.since) > patience):
		g.child.Release()
		g.log.Info(fmt.Sprintf("the command goes on after %s: there is room again", now.Sub(g.since).Round(time.Millisecond)))
		g.said = time.Time{}
	case held:
		g.say(now, room, which)
		if now.Sub(g.since) > patience {
			g.o.Stuck()
		}
		return heldLook
	}
	written := int64(0)
	for _, o := range g.outputs {
		written += o.Size()
	}
	grew := written != g.written
	g.written = written
	if grew && room < 4*margin {
		return nearLook
	}
	return otherLook
}

func (g *Guard) say(now time.Time, room int64, which string) {
	if g.said.IsZero() || now.Sub(g.said) >= sayAgain {
		g.said = now
		g.log.Warn(fmt.Sprintf("%d bytes are left below %s: the command is stopped (SIGSTOP) until CloudWatch has taken some of what it wrote; nothing is dropped", room, which))
	}
}

// reserve allocates what the command will need next.
func (g *Guard) reserve() {
	for _, o := range g.outputs {
		if o.Path() == "" || o.ahead() > g.ahead/2 {
			continue // enough is; or it is in memory, where what is reserved is taken
		}
		ahead, err := o.Reserve(g.ahead)
		o.reserved = o.Size() + ahead
		if err != nil && !errors.Is(err, journal.ErrFull) {
			g.complain(err)
		}
	}
}

// room is how much the command may write before a bound is reached, and which one that is.
func (g *Guard) room() (room int64, which string, err error) {
	room = math.MaxInt64
	taken := int64(0)
	for _, o := range g.outputs {
		r, err := o.Headroom()
		if err != nil {
			return 0, "", err
		}
		if r < room {
			room, which = r, "the end of the disk at "+o.Path()
			if o.Path() == "" {
				which = "the most that is kept in memory"
			}
		}
		taken += o.Allocated() - o.ahead()
	}
	if g.bounded && g.o.Limit-taken < room {
		room, which = max(0, g.o.Limit-taken), "the limit of --journal-max"
	}
	return room, which, nil
}

func (g *Guard) complain(err error) {
	if !g.failed {
		g.failed = true
		g.log.Error(fmt.Sprintf("%v; the command is not kept from filling the disk", err))
	}
}
