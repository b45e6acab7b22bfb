package feed

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"

	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/logfield"
)

// Patience is how long to wait for the reader of a copy. The zero value of a field means the usual
// value.
type Patience struct {
	// Tee is how long the reader may accept nothing, once everything else is done, before the copy
	// is given up; 0: 10 s.
	Tee time.Duration
	// FullJournal is how long a journal may be full before the copy is given up, if the copy is all
	// that keeps the journal from freeing space; 0: 5 s.
	FullJournal time.Duration
}

func (p Patience) withDefaults() Patience {
	p.Tee = cmp.Or(p.Tee, 10*time.Second)
	p.FullJournal = cmp.Or(p.FullJournal, 5*time.Second)
	return p
}

// Tee copies an input's bytes to a writer, unchanged. It reads the journal at its own pace, so a
// slow or closed writer costs nothing but the disk space that the journal takes until then.
type Tee struct {
	j        *journal.Journal
	w        io.Writer
	name     string // of w, for messages
	patience Patience
	log      *zap.Logger
	ended    chan struct{}
	stop     chan struct{} // closed when the copy is given up

	offset  atomic.Int64 // up to which the journal was copied
	moved   atomic.Int64 // time of the latest write, in ms
	givenUp atomic.Bool
}

// StartTee starts copying j to w. The copy ends at the end of the input, when w fails, or when it
// is given up. A write that hangs at that moment is abandoned.
func StartTee(j *journal.Journal, w io.Writer, patience Patience, log *zap.Logger) *Tee {
	t := &Tee{j: j, w: w, name: "the copy", patience: patience.withDefaults(), log: log, ended: make(chan struct{}), stop: make(chan struct{})}
	if f, ok := w.(*os.File); ok {
		t.name = path.Base(f.Name())
	}
	t.offset.Store(j.Cursor().Offset)
	t.moved.Store(time.Now().UnixMilli())
	j.Retain(t.offset.Load())
	go t.run()
	return t
}

func (t *Tee) run() {
	defer close(t.ended)
	defer t.j.StopRetaining()
	changed, unsubscribe := t.j.Subscribe()
	defer unsubscribe()
	buf := make([]byte, 64<<10)
	for {
		ended := t.j.Ended() // asked before the read: if it has ended, the read sees its last bytes
		n, err := t.j.ReadAt(buf, t.offset.Load())
		if n > 0 {
			if _, werr := t.w.Write(buf[:n]); werr != nil {
				why := werr.Error()
				if errors.Is(werr, syscall.EPIPE) {
					why = "its reader has closed it"
				}
				t.log.Warn("--tee: "+t.name+" accepts no more ("+why+"); shipping goes on without it", zap.String("tee", t.name))
				return
			}
			t.moved.Store(time.Now().UnixMilli())
			t.j.Retain(t.offset.Add(int64(n)))
			continue
		}
		if cut, ok := errors.AsType[*journal.CutError](err); ok {
			t.offset.Store(cut.To)
			t.j.Retain(cut.To)
			continue
		}
		if err != nil || ended || t.givenUp.Load() {
			return
		}
		select {
		case <-changed:
		case <-t.stop:
		}
	}
}

// Done is closed when the copy has ended by itself. A copy that was given up may still hang in a
// write.
func (t *Tee) Done() <-chan struct{} { return t.ended }

// Finished reports whether the copy has ended or was given up.
func (t *Tee) Finished() bool {
	select {
	case <-t.ended:
		return true
	default:
		return t.givenUp.Load()
	}
}

// Stuck reports whether the writer has accepted nothing for so long that nobody should wait for it
// any more.
func (t *Tee) Stuck(now time.Time) bool {
	return now.UnixMilli()-t.moved.Load() > t.patience.Tee.Milliseconds()
}

// GiveUp gives the copy up: it lets the journal free space and logs how much was not copied.
func (t *Tee) GiveUp() {
	if t.givenUp.Swap(true) {
		return
	}
	close(t.stop)
	t.j.StopRetaining()
	t.log.Warn(fmt.Sprintf("--tee: %s accepts nothing; %d bytes are not copied to it, but all of them are shipped", t.name, t.j.Size()-t.offset.Load()), zap.String("tee", t.name), logfield.Bytes(t.j.Size()-t.offset.Load()))
}

// GiveUpIfAlone gives the copy up if it is all that keeps the journal from freeing space.
func (t *Tee) GiveUpIfAlone() {
	if t.offset.Load() < t.j.Acked() {
		t.GiveUp()
	}
}
