// Package guard keeps a command whose stdout is a file from filling the disk. A process that writes
// to a file does not ask for room: it dies of ENOSPC. A [Guard] reserves space ahead of the
// command, stops it before a bound is reached, and lets it go on when acknowledgements have given
// room back. The command is a child of this process, or the [Group] of one that outlived its
// shipper.
package guard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/logfield"
)

const (
	// mostMargin is how much room the command is stopped with, at most: what a process writes to
	// memory at 1 GB/s in the 60 ms that a busy machine may take to run us. Where there is less
	// than four times as much room at the start, the margin is a quarter of that.
	mostMargin = 64 << 20
	// mostAhead is how much is allocated ahead of what the command writes, at most: nobody else can
	// take that space from it. Where room is short, it is a sixteenth of the room at the start.
	mostAhead = 16 << 20
	// leastRoom is how much room there must be at the start.
	leastRoom = 1 << 20

	nearLook  = time.Millisecond      // between looks while it writes and the margin is near
	heldLook  = 50 * time.Millisecond // between looks while it is stopped
	otherLook = 5 * time.Second       // between looks otherwise: others use the disk, too
	sayAgain  = time.Minute
)

// Guard stops and continues one command. Make it with [New] and call [Guard.Run] once.
type Guard struct {
	command Command
	output  Output
	o       Options
	log     *zap.Logger

	// These belong to Run, except that New sets margin, ahead and bounded.
	margin  int64
	ahead   int64
	bounded bool // the limit can be kept, because what is acknowledged is given back
	written int64
	since   time.Time // when it was stopped
	said    time.Time // when that was last reported
	failed  bool      // an error was reported
}

// Command is what a Guard stops: a child of this process, or a [Group]. Its methods do not block
// for long.
type Command interface {
	Hold()                 // stops it until Release
	Release()              // continues it
	Held() bool            // it is stopped by Hold
	Warned() bool          // a signal that means to end it was passed on
	Ended() bool           // it has ended and cannot be stopped any more
	Done() <-chan struct{} // closed when it has ended
}

// Output is the file that is the command's stdout: a journal that the command itself writes.
// Offsets and sizes are bytes.
type Output interface {
	// Path is the folder of the file; "" if it is in memory.
	Path() string
	// Size is how much was written.
	Size() int64
	// Allocated is how much the file takes on the disk. Ahead is how much of that is reserved
	// beyond what was written.
	Allocated() int64
	Ahead() int64
	// Headroom is how much more the file system lets the command write.
	Headroom() (int64, error)
	// Reserve allocates n bytes ahead of what was written. An error that wraps journal.ErrFull says
	// that there are not so many.
	Reserve(n int64) (int64, error)
	// PunchesHoles reports whether acknowledged bytes are given back while the command runs.
	PunchesHoles() bool
	// Subscribe returns a channel that receives when the output has changed, and a function that
	// ends that.
	Subscribe() (changed <-chan struct{}, unsubscribe func())
}

// Written is a file that knows its writers.
type Written interface {
	// WrittenBy reports whether a process has the file open for writing.
	WrittenBy(pid int) bool
}

// Options are what a Guard works by.
type Options struct {
	// Limit is how many bytes the output may take; 0: as many as the disk has.
	Limit int64
	// Stuck, if not nil, is called now and then once the command has been stopped for longer than
	// Patience.Margin: whatever else keeps the journal from freeing space should let go.
	Stuck func()
	// Found says that the command ran before this process did, so it is not refused for lack of
	// room.
	Found    bool
	Patience Patience
	Log      *zap.Logger
}

// Patience is how long a Guard waits. The zero value means the usual value.
type Patience struct {
	// Margin is how long a stopped command waits for twice the margin of room. After that, room of
	// more than the margin is enough for it to go on. 0: 5 s.
	Margin time.Duration
}

// New returns a guard over a command that writes output. An error that wraps journal.ErrFull says
// that there is too little room to begin with.
func New(command Command, o Options, output Output) (*Guard, error) {
	o.Patience.Margin = cmp.Or(o.Patience.Margin, 5*time.Second)
	g := &Guard{command: command, output: output, o: o, log: o.Log, bounded: o.Limit > 0 && output.PunchesHoles(), since: time.Now()}
	room, which, err := g.room()
	if err != nil {
		return nil, err
	}
	if o.Found { // as much as there was when it began
		room += output.Allocated()
	} else if room < leastRoom {
		return nil, fmt.Errorf("%w for what the command writes: %d bytes are left below %s, and it needs %d to start; free some space, or name another folder", journal.ErrFull, room, which, leastRoom)
	}
	g.margin, g.ahead = min(room/4, mostMargin), min(room/16, mostAhead)
	return g, nil
}

// Run guards the command until it or ctx ends.
func (g *Guard) Run(ctx context.Context) {
	changed, unsubscribe := g.output.Subscribe()
	defer unsubscribe()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.command.Done():
			return
		case <-changed:
		case <-timer.C:
		}
		timer.Reset(g.look(time.Now()))
	}
}

// look stops or continues the command as needed and returns how long the next look may wait.
func (g *Guard) look(now time.Time) time.Duration {
	g.reserve()
	room, which, err := g.room()
	if err != nil {
		g.complain(err)
		return otherLook
	}
	margin := g.margin
	if g.command.Warned() { // it is about to end, and may need some room to do so
		margin /= 4
	}
	held := g.command.Held()
	switch {
	case g.command.Ended():
		return otherLook
	case !held && room < margin:
		g.command.Hold()
		g.say(now, room, which)
		g.since = now
		return heldLook
	case held && (room >= 2*margin || room > margin && now.Sub(g.since) > g.o.Patience.Margin):
		g.command.Release()
		g.log.Info(fmt.Sprintf("the command goes on after %s: there is room again", now.Sub(g.since).Round(time.Millisecond)), zap.Float64("seconds", now.Sub(g.since).Seconds()))
		g.said = time.Time{}
	case held:
		g.say(now, room, which)
		if g.o.Stuck != nil && now.Sub(g.since) > g.o.Patience.Margin {
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

// say reports that the command is stopped: at once, then once a minute.
func (g *Guard) say(now time.Time, room int64, which string) {
	if g.said.IsZero() || now.Sub(g.said) >= sayAgain {
		g.said = now
		g.log.Warn(fmt.Sprintf("%d bytes are left below %s: the command is stopped (SIGSTOP) until CloudWatch has accepted some of what it wrote; nothing is dropped", room, which), logfield.Bytes(room), logfield.Folder(filepath.Dir(g.output.Path())))
	}
}

// reserve allocates what the command will need next.
func (g *Guard) reserve() {
	if g.output.Path() == "" || g.output.Ahead() > g.ahead/2 {
		return // in memory, what is reserved is taken; otherwise enough is reserved
	}
	if _, err := g.output.Reserve(g.ahead); err != nil && !errors.Is(err, journal.ErrFull) {
		g.complain(err)
	}
}

// room returns how much the command may write before it reaches a bound, and names that bound.
func (g *Guard) room() (room int64, which string, err error) {
	room, err = g.output.Headroom()
	if err != nil {
		return 0, "", err
	}
	which = "the end of the disk at " + g.output.Path()
	if g.output.Path() == "" {
		which = "the most that is kept in memory"
	}
	// What is reserved counts as free, because it is the command's.
	if left := g.o.Limit - (g.output.Allocated() - g.output.Ahead()); g.bounded && left < room {
		room, which = max(0, left), "the limit of --journal-max"
	}
	return room, which, nil
}

// complain reports the first error.
func (g *Guard) complain(err error) {
	if !g.failed {
		g.failed = true
		g.log.Error(fmt.Sprintf("%v; nothing prevents the command from filling the disk", err), logfield.Of(err)...)
	}
}
