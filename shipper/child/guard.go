package child

import (
	"context"
	"errors"
	"fmt"
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

// Guard keeps a command whose stdout is a file from filling the disk: it does not ask before it writes, and dies of ENOSPC. It reserves space
// ahead of the command, stops it before a bound is reached, and lets it go on when acknowledgements have given room back. Make it with NewGuard,
// call Run once.
type Guard struct {
	child  Guarded
	output *journal.Journal // the command's stdout
	o      GuardOptions
	log    *zap.Logger

	// Owned by Run, but for margin, ahead and bounded, which NewGuard sets.
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
	// Limit is how many bytes the output may take; 0: as many as there are.
	Limit int64
	// Stuck is called now and then while the command is stopped for long: what else keeps the journal from giving room back should let go.
	Stuck func()
	// Found: the command has run before, and is not refused for lack of room.
	Found bool
	Log   *zap.Logger
}

// NewGuard returns a guard over child, whose stdout is the journal output. journal.ErrFull says that there is too little room to begin with.
func NewGuard(child Guarded, o GuardOptions, output *journal.Journal) (*Guard, error) {
	g := &Guard{child: child, output: output, o: o, log: o.Log, bounded: o.Limit > 0 && output.PunchesHoles(), since: time.Now()}
	room, which, err := g.room()
	if err != nil {
		return nil, err
	}
	if o.Found { // as much as there was when it began
		room += output.Allocated()
	} else if room < leastRoom {
		return nil, fmt.Errorf("%w for what the command writes: %d bytes are left below %s, and it takes %d to begin with; free some, or name another folder", journal.ErrFull, room, which, leastRoom)
	}
	g.margin, g.ahead = min(room/4, mostMargin), min(room/16, mostAhead)
	return g, nil
}

// Run guards until ctx ends.
func (g *Guard) Run(ctx context.Context) {
	changed, unsubscribe := g.output.Subscribe()
	defer unsubscribe()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.child.Done():
			return
		case <-changed:
		case <-timer.C:
		}
		timer.Reset(g.look(time.Now()))
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
	written := g.output.Size()
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
	if g.output.Path() == "" || g.output.Ahead() > g.ahead/2 {
		return // enough is; or it is in memory, where what is reserved is taken
	}
	if _, err := g.output.Reserve(g.ahead); err != nil && !errors.Is(err, journal.ErrFull) {
		g.complain(err)
	}
}

// room is how much the command may write before a bound is reached, and which one that is.
func (g *Guard) room() (room int64, which string, err error) {
	room, err = g.output.Headroom()
	if err != nil {
		return 0, "", err
	}
	which = "the end of the disk at " + g.output.Path()
	if g.output.Path() == "" {
		which = "the most that is kept in memory"
	}
	// What is reserved counts as free, for it is the command's.
	if left := g.o.Limit - (g.output.Allocated() - g.output.Ahead()); g.bounded && left < room {
		room, which = max(0, left), "the limit of --journal-max"
	}
	return room, which, nil
}

func (g *Guard) complain(err error) {
	if !g.failed {
		g.failed = true
		g.log.Error(fmt.Sprintf("%v; the command is not kept from filling the disk", err))
	}
}
