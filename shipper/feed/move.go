// Package feed fills the journal of a pipe. [Move] and [Fill] move the bytes of a reader into the
// journal, [Stoppable] makes the reads of a file end with a context, and [Tee] copies the journal
// to a second reader. The package knows nothing of what happens to the bytes afterwards: the writer
// at the other end of the pipe waits for the disk only, never for CloudWatch.
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

// moveBytes is how much one read or splice takes from a pipe: as much as Linux lets a pipe hold.
const moveBytes = 1 << 20

// Move moves the bytes of r to the journal j and does nothing else, so that the agent behind r
// never waits for CloudWatch. It ends the journal at the end of r, when r fails, or when ctx ends.
// If the journal is full, Move logs that and waits for room. Only then does the writer of r wait
// too. If the journal's disk fails, Move logs that, and the journal goes on in memory. tee may be
// nil.
func Move(ctx context.Context, r io.Reader, j *journal.Pipe, tee *Tee, log *zap.Logger) error {
	err := Fill(ctx, r, j, tee, log)
	if end := j.End(); err == nil && ctx.Err() == nil {
		return end
	}
	return err
}

// directReader is a reader whose bytes go to the journal without passing through this process. A
// kill would lose bytes held in this process, and while the journal is full they would be held for
// a long time.
type directReader interface {
	// moveTo waits for bytes and moves them to the journal: see [journal.Pipe.Take].
	moveTo(*journal.Pipe) (int, error)
}

// Fill is [Move], except that it does not end the journal.
func Fill(ctx context.Context, r io.Reader, j *journal.Pipe, tee *Tee, log *zap.Logger) error {
	room := waiter{j: j, tee: tee, log: log, degraded: j.Degraded() != nil}
	if m, ok := r.(directReader); ok {
		if err := fillDirectly(ctx, m, j, &room); !errors.Is(err, errors.ErrUnsupported) {
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
				return fmt.Errorf("journal %s: %w; the bytes that it could not store are lost", j.Path(), werr)
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

// fillDirectly is [Fill] for a directReader. If ctx ends while the journal is full, the bytes are
// still in the pipe.
func fillDirectly(ctx context.Context, m directReader, j *journal.Pipe, room *waiter) error {
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

// waiter waits for room in a full journal. It logs the wait at once, but at most once a minute.
type waiter struct {
	j        *journal.Pipe
	tee      *Tee
	log      *zap.Logger
	limit    loglimit.Limiter
	since    time.Time // when the journal became full; zero while it takes bytes
	reported bool      // this wait was logged, so its end is logged too
	degraded bool      // it was logged that the journal goes on in memory
}

// reportDisk logs, once, that the journal's disk failed and that the journal goes on in memory.
func (w *waiter) reportDisk() {
	if w.degraded {
		return
	}
	if err := w.j.Degraded(); err != nil {
		w.degraded = true
		w.log.Warn(err.Error(), logfield.Of(err)...)
	}
}

// wait returns when it is worth trying again. There may still be no room.
func (w *waiter) wait(ctx context.Context, why error) error {
	if now := time.Now(); w.since.IsZero() {
		w.since, w.reported = now, w.limit.Allow("full", now)
		if w.reported {
			w.log.Warn(fmt.Sprintf("%v; the input waits meanwhile, and nothing is dropped", why), logfield.Input(w.j.ID()), logfield.Folder(w.j.Path()))
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

// found notes that the journal has accepted bytes.
func (w *waiter) found() {
	if w.reported {
		w.log.Info(fmt.Sprintf("the journal has room again after %s", time.Since(w.since).Round(time.Millisecond)),
			logfield.Input(w.j.ID()), zap.Float64("seconds", time.Since(w.since).Seconds()))
	}
	w.since, w.reported = time.Time{}, false
}
