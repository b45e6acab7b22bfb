package shipper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"go.uber.org/zap"

	"perstack-shipper/shipper/journal"
)

// moveBytes is what is taken from a pipe at once: all that Linux lets one hold.
const moveBytes = 1 << 20

// fullPatience is how long a full journal may wait before a reader of --tee that alone holds it is given up.
const fullPatience = 5 * time.Second

// Move moves the bytes of r to the journal j, and does nothing else: the agent behind r never waits for CloudWatch. It ends the journal at the end of r, when r fails, or
// when ctx ends. When the journal is full it says so and waits for space; then, and only then, the writer of r waits too. tee may be nil.
func Move(ctx context.Context, r io.Reader, j *journal.Journal, tee *Tee, log *zap.Logger) error {
	err := move(ctx, r, j, tee, log)
	if end := j.End(); err == nil && ctx.Err() == nil {
		return end
	}
	return err
}

func move(ctx context.Context, r io.Reader, j *journal.Journal, tee *Tee, log *zap.Logger) error {
	buf := make([]byte, moveBytes)
	room := waiter{j: j, tee: tee, log: log}
	for {
		n, err := r.Read(buf)
		for data := buf[:n]; len(data) > 0; {
			m, werr := j.Write(data)
			data = data[m:]
			if werr == nil {
				continue
			}
			if !errors.Is(werr, journal.ErrFull) {
				return fmt.Errorf("journal %s: %w; what it could not take is lost", j.Path(), werr)
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

// waiter waits for space in a full journal, and says so: once, then at most once a minute.
type waiter struct {
	j    *journal.Journal
	tee  *Tee
	log  *zap.Logger
	said sayings
}

func (w *waiter) wait(ctx context.Context, why error) error {
	began := time.Now()
	say := w.said.may("full", began)
	if say {
		w.log.Warn(fmt.Sprintf("%v; the input waits meanwhile, nothing is dropped", why))
	}
	for {
		patience, cancel := context.WithTimeout(ctx, fullPatience)
		err := w.j.WaitRoom(patience)
		cancel()
		switch {
		case err == nil:
			if say {
				w.log.Info(fmt.Sprintf("the journal has room again after %s", time.Since(began).Round(time.Millisecond)))
			}
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case w.tee != nil:
			w.tee.GiveUpIfAlone()
		}
	}
}
