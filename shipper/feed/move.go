// Package feed fills the journal of a pipe: [Move] and [Fill] move what a reader brings into the
// journal, [Stoppable] makes a file's reads end with a context, and [Tee] copies the journal to a
// second reader. Nothing here knows what becomes of the bytes: the writer at the other end of the
// pipe waits for the disk alone, never for CloudWatch.
package feed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"go.uber.org/zap"

	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/logfield"
	"perstack-shipper/shipper/loglimit"
)

// moveBytes is how much is taken from a pipe at once: all that Linux lets a pipe hold.
const moveBytes = 1 << 20

// Move moves the bytes of r to the journal j and does nothing else, so that the agent behind r
// never waits for CloudWatch. It ends the journal at the end of r, when r fails, or when ctx ends.
// When the journal is full, Move reports it and waits for room; then, and only then, the writer of
// r waits too. When the journal's disk fails, Move reports it, and the journal goes on in memory.
// tee may be nil.
func Move(ctx context.Context, r io.Reader, j *journal.Pipe, tee *Tee, log *zap.Logger) error {
	err := Fill(ctx, r, j, tee, log)
	if end := j.End(); err == nil && ctx.Err() == nil {
		return end
	}
	return err
}

// mover is a reader whose bytes go to the journal without passing through this process. Bytes in
// hand would be lost by a kill, and would be in hand for long while the journal is full.
type mover interface {
	// moveTo waits for bytes and moves them to the journal: see [journal.Pipe.Take].
	moveTo(*journal.Pipe) (int, error)
}

// Fill is [Move], except that it does not end the journal.
func Fill(ctx context.Context, r io.Reader, j *journal.Pipe, tee *Tee, log *zap.Logger) error {
	room := waiter{j: j, tee: tee, log: log, degraded: j.Degraded() != nil}
	if m, ok := r.(mover); ok {
		if err := moveWhole(ctx, m, j, &room); !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	buf := make([]byte, moveBytes)
	for {
		n, err := r.Read(buf)
		for data := buf[:n]; len(data) > 0; {
			m, werr := j.Write(data)
			data = data[m:]
			room.reportDisk()
			if m > 0 {
				room.found()
			}
			if werr == nil {
				continue
			}
			if !errors.Is(werr, journal.ErrFull) {
				return fmt.Errorf("journal %s: %w; what it could not store is lost", j.Path(), werr)
			}
			if werr := room.wait(ctx, werr); werr != nil {
				return fmt.Errorf("%d bytes that were read could not be kept: %w", len(data), werr)
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("reading the input: %w", err)
		}
	}
}

// moveWhole is [Fill] for a mover. When ctx ends while the journal is full, the bytes are still in
// the pipe.
func moveWhole(ctx context.Context, m mover, j *journal.Pipe, room *waiter) error {
	for {
		n, err := m.moveTo(j)
		room.reportDisk()
		if n > 0 {
			room.found()
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, journal.ErrFull):
			if room.wait(ctx, err) != nil {
				return nil
			}
		case errors.Is(err, os.ErrClosed) && ctx.Err() != nil:
			return nil // stopped
		default:
			return fmt.Errorf("moving the input to the journal: %w", err)
		}
	}
}

// waiter waits for room in a full journal and reports it: at once, then at most once a minute.
type waiter struct {
	j        *journal.Pipe
	tee      *Tee
	log      *zap.Logger
	limit    loglimit.Limiter
	since    time.Time // when the journal became full; zero while it takes bytes
	told     bool      // this wait was reported, so its end is reported too
	degraded bool      // the journal goes on in memory, and that was reported
}

// reportDisk reports, once, that the journal's disk failed and that it goes on in memory.
func (w *waiter) reportDisk() {
	if w.degraded {
		return
	}
	if err := w.j.Degraded(); err != nil {
		w.degraded = true
		w.log.Warn(err.Error(), logfield.Of(err)...)
	}
}

// wait returns when it is worth trying again, which does not mean that there is room.
func (w *waiter) wait(ctx context.Context, why error) error {
	if now := time.Now(); w.since.IsZero() {
		w.since, w.told = now, w.limit.Allow("full", now)
		if w.told {
			w.log.Warn(fmt.Sprintf("%v; the input waits meanwhile, nothing is dropped", why), logfield.Input(w.j.ID()), logfield.Folder(w.j.Path()))
		}
	}
	waiting, stop := ctx, context.CancelFunc(func() {})
	if w.tee != nil {
		waiting, stop = context.WithTimeout(ctx, w.tee.patience.FullJournal)
	}
	defer stop()
	if err := w.j.WaitRoom(waiting); err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if w.tee != nil && time.Since(w.since) >= w.tee.patience.FullJournal {
		w.tee.GiveUpIfAlone()
	}
	return nil
}

// found notes that the journal has taken something.
func (w *waiter) found() {
	if w.told {
		w.log.Info(fmt.Sprintf("the journal has room again after %s", time.Since(w.since).Round(time.Millisecond)),
			logfield.Input(w.j.ID()), zap.Float64("seconds", time.Since(w.since).Seconds()))
	}
	w.since, w.told = time.Time{}, false
}
