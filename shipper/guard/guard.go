// Package guard keeps a command whose stdout is a file from filling the disk. A process that writes
// to a file does not wait for room: it dies of ENOSPC. A [Guard] reserves space ahead of the
// command, stops it before it reaches a limit, and continues it when acknowledgements have freed
// space. The command is a child of this process, or the process [Group] of a command that outlived
// its shipper.
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
	// mostMargin is the most room at which the command is stopped. A process that writes to memory
	// at 1 GB/s writes this much in the 60 ms that a busy machine may take to schedule us. If there
	// is less than four times as much room at the start, the margin is a quarter of that room.
	mostMargin = 64 << 20
	// mostAhead is the most that is allocated ahead of what the command writes, so that nobody else
	// takes that space. If room is short, a sixteenth of the room at the start is allocated.
	mostAhead = 16 << 20
	// leastRoom is how much room there must be for the command to start.
	leastRoom = 1 << 20

	nearLook    = time.Millisecond      // between looks while it writes and the margin is near
	stoppedLook = 50 * time.Millisecond // between looks while it is stopped
	otherLook   = 5 * time.Second       // between looks otherwise, as others use the disk too
	logEvery    = time.Minute
)

// Guard stops and continues one command. Make it with [New] and call [Guard.Run] once.
type Guard struct {
	command Command
	output  Output
	o       Options
	log     *zap.Logger

	// The goroutine of Run owns these. New sets margin, ahead and bounded.
	margin  int64
	ahead   int64
	bounded bool // the output can be kept below Limit, because acknowledged bytes are freed
	written int64
	since   time.Time // when it was stopped
	logged  time.Time // when that was last logged
	failed  bool      // an error was logged
}

// Command is what a Guard stops and continues: a child of this process, or a [Group]. Its methods
// do not block for long.
type Command interface {
	Stop()                 // stops it with SIGSTOP until Continue
	Continue()             // continues it
	Stopped() bool         // Stop was called after the last Continue
	Warned() bool          // it was sent a signal that asks it to end
	Ended() bool           // it has ended and cannot be stopped any more
	Done() <-chan struct{} // closed when it has ended
}

// Output is the file that is the command's stdout, which is also the journal. Offsets and sizes are
// bytes.
type Output interface {
	// Path is the folder of the file; "" if it is in memory.
	Path() string
	// Size is how much the command has written.
	Size() int64
	// Allocated is how much the file takes on the disk. Ahead is the part of that which is reserved
	// beyond what the command has written.
	Allocated() int64
	Ahead() int64
	// Headroom is how much more the file system lets the command write.
	Headroom() (int64, error)
	// Reserve allocates n bytes beyond what the command has written. If there are fewer, the error
	// wraps journal.ErrFull.
	Reserve(n int64) (int64, error)
	// PunchesHoles reports whether acknowledged bytes are freed while the command runs.
	PunchesHoles() bool
	// Subscribe returns a channel that receives when the output has changed, and a function that
	// unsubscribes.
	Subscribe() (changed <-chan struct{}, unsubscribe func())
}

// Written is a file that knows its writers.
type Written interface {
	// WrittenBy reports whether a process has the file open for writing.
	WrittenBy(pid int) bool
}

// Options configure a Guard.
type Options struct {
	// Limit is how many bytes the output may take; 0: as many as the disk has room for.
	Limit int64
	// Stuck, if not nil, is called repeatedly once the command has been stopped for longer than
	// Patience.Margin. It should make others stop keeping the journal from freeing space.
	Stuck func()
	// Found says that the command was running before this process started, so New does not fail if
	// there is little room.
	Found    bool
	Patience Patience
	Log      *zap.Logger
}

// Patience is how long a Guard waits. The zero value of a field means the usual value.
type Patience struct {
	// Margin is how long a stopped command waits for room of twice the margin. After that, more
	// than the margin is enough to continue it; 0: 5 s.
	Margin time.Duration
}

// New returns a guard of a command that writes output. If there is too little room for the command
// to start, the error wraps journal.ErrFull.
func New(command Command, o Options, output Output) (*Guard, error) {
	o.Patience.Margin = cmp.Or(o.Patience.Margin, 5*time.Second)
	g := &Guard{command: command, output: output, o: o, log: o.Log, bounded: o.Limit > 0 && output.PunchesHoles(), since: time.Now()}
	room, which, err := g.room()
	if err != nil {
		return nil, err
	}
	if o.Found { // as much room as there was when the command started
		room += output.Allocated()
	} else if room < leastRoom {
		return nil, fmt.Errorf("%w for what the command writes: %d bytes are left below %s, and it needs %d to start; free some space, or name another folder", journal.ErrFull, room, which, leastRoom)
	}
	g.margin, g.ahead = min(room/4, mostMargin), min(room/16, mostAhead)
	return g, nil
}

// Run guards the command until the command or ctx ends.
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
	stopped := g.command.Stopped()
	switch {
	case g.command.Ended():
		return otherLook
	case !stopped && room < margin:
		g.command.Stop()
		g.logStopped(now, room, which)
		g.since = now
		return stoppedLook
	case stopped && (room >= 2*margin || room > margin && now.Sub(g.since) > g.o.Patience.Margin):
		g.command.Continue()
		g.log.Info(fmt.Sprintf("the command goes on after %s: there is room again", now.Sub(g.since).Round(time.Millisecond)), zap.Float64("seconds", now.Sub(g.since).Seconds()))
		g.logged = time.Time{}
	case stopped:
		g.logStopped(now, room, which)
		if g.o.Stuck != nil && now.Sub(g.since) > g.o.Patience.Margin {
			g.o.Stuck()
		}
		return stoppedLook
	}
	written := g.output.Size()
	grew := written != g.written
	g.written = written
	if grew && room < 4*margin {
		return nearLook
	}
	return otherLook
}

// logStopped logs that the command is stopped: at once, then once a minute.
func (g *Guard) logStopped(now time.Time, room int64, which string) {
	if g.logged.IsZero() || now.Sub(g.logged) >= logEvery {
		g.logged = now
		g.log.Warn(fmt.Sprintf("%d bytes are left below %s: the command is stopped (SIGSTOP) until CloudWatch has accepted some of what it wrote; nothing is dropped", room, which), logfield.Bytes(room), logfield.Folder(filepath.Dir(g.output.Path())))
	}
}

// reserve allocates what the command will need next.
func (g *Guard) reserve() {
	if g.output.Path() == "" || g.output.Ahead() > g.ahead/2 {
		return // the reservation would take memory, or enough is reserved
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
	// The reserved bytes count as free, because they are for the command.
	if left := g.o.Limit - (g.output.Allocated() - g.output.Ahead()); g.bounded && left < room {
		room, which = max(0, left), "the limit of --journal-max"
	}
	return room, which, nil
}

// complain logs the first error.
func (g *Guard) complain(err error) {
	if !g.failed {
		g.failed = true
		g.log.Error(fmt.Sprintf("%v; nothing prevents the command from filling the disk", err), logfield.Of(err)...)
	}
}
