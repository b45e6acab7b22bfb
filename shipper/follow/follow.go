// Package follow finds what --input names and makes inputs of it: files that grow, FIFOs, and
// folders of files.
//
//	follow.go   what is asked for and what comes of it; Run, which looks until it is told to stop
//	patience.go how long to wait for what
//	look.go     one look at all paths: what is there now
//	file.go     a followed file: from its first line until it is gone, cut or left for another day
//	stem.go     files that are the stdout and the stderr of one process
//	copy.go     copies that a rotation leaves
//	park.go     any number of files, of which some are followed at a time
//	underway.go whether an agent is at work, and is waited for
//	known.go    what earlier processes followed, taken up again
//	fifo.go     a FIFO
//	once.go     what is left of a file, shipped by resume
//	watch.go    when to look again: what the kernel tells, and polling behind it
//
// A file is known by its identity: device and inode. An open descriptor keeps these from being
// reused, while its names may change. So a file that is renamed is shipped once, and a file that
// takes over its name is another input.
package follow

import (
	"context"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"perstack-shipper/shipper/disk"
	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/logfield"
)

// Options say what to follow.
type Options struct {
	// Paths are files, FIFOs and folders. In a folder, files named *.jsonl and *.log are followed,
	// and *.err and *.stderr beside one of the same stem. Folders below it are not looked into.
	Paths []string
	// Wait for paths that do not exist.
	Wait bool
	// UntilIdle is how long nothing may come from any path before Run ends by itself; 0: for ever.
	// A run under way is given longer.
	UntilIdle time.Duration
	// Reading ends when FIFOs are not to be read any more.
	Reading context.Context

	Folder  *journal.Folder
	Journal journal.Options
	// About makes the snapshot of an input: a new one, or one that has the snapshot old.
	About func(id string, note Note, old []byte) []byte
	// Known are the inputs that the folder has.
	Known []Known

	Patience Patience
	Log      *zap.Logger // nil: nothing is logged

	most int // files followed at once; 0: as many as the limit on descriptors allows
}

// Note is what a snapshot keeps of a followed file, so that a later start recognises it under any
// name.
type Note struct {
	Path string `json:"path"` // absolute
	Dev  uint64 `json:"dev,omitempty"`
	Ino  uint64 `json:"ino,omitempty"`
	// First is the digest of the file's first line.
	First string `json:"first,omitempty"`
	// Base is the id that path and first line give, if another input already had it.
	Base string `json:"base,omitempty"`
	// Lent says that whoever holds the input only ships the rest of it, and then lets go of it for
	// a process that follows the file.
	Lent bool `json:"lent,omitempty"`
}

// Known is an input that the folder has, of an earlier process or a living one.
type Known struct {
	journal.Left
	Note Note
	// Mine says that it goes where this process ships to. Of others only the ids are kept.
	Mine bool
}

// Input is what was found: a file, or a FIFO.
type Input struct {
	// Journal follows a file. For a FIFO, the caller writes it with what FIFO gives.
	Journal *journal.Journal
	// Pipe is the journal of a FIFO, for writing; nil for a file.
	Pipe *journal.Pipe
	Path string
	// FIFO is open for reading; nil for a file. The caller closes it when Reading has ended, or its
	// last writer is gone.
	FIFO    *os.File
	Reading context.Context
	Grew    time.Time // when a file grew last, as far as that was seen

	file     *journal.File            // the journal of a file; nil of a FIFO
	progress atomic.Pointer[progress] // nil: it was not told
	paused   atomic.Int32
	closed   atomic.Bool
	once     sync.Once
	live     *atomic.Int64
}

// Close says that the caller has closed or removed the journal, so there is room for another.
func (in *Input) Close() {
	in.once.Do(func() {
		in.live.Add(-1)
		in.closed.Store(true)
	})
}

// What the end of Journal means, for Paused.
const (
	finished int32 = iota
	paused
	pausedInLine
)

// Paused says, once the journal has ended, whether the file may go on another day, and whether its
// last line was being written, so that the beginning of that line is for that day as well.
func (in *Input) Paused() (paused, inLine bool) {
	p := in.paused.Load()
	return p != finished, p == pausedInLine
}

// InputError says what is wrong with a path.
type InputError struct {
	Path    string
	Problem string // with the remedy
}

func (e *InputError) Error() string { return e.Path + " " + e.Problem }

// LogFields implements logfield.Named.
func (e *InputError) LogFields() []zap.Field { return []zap.Field{logfield.Path(e.Path)} }

// Set is what is followed. One goroutine uses it at a time: the one in New, then the one in Run.
type Set struct {
	o   Options
	log *zap.Logger

	files      []*file
	byIdentity map[disk.Identity]*file
	parked     []*parked
	parkedBy   map[disk.Identity]*parked
	origins    []*origin     // what others may be copies of
	live       *atomic.Int64 // inputs whose journals are open
	refused    bool          // a file waits for a place
	stopping   bool          // what is there is all there will be
	idle       bool          // because nothing came for so long
	fifos      []*fifo
	used       map[string]bool      // ids that are taken
	dead       map[string][]*parked // inputs whose file was not there, by its path

	fresh  []*Input  // found, and not handed over yet
	came   time.Time // when something last came
	failed []error
	unread map[string]error // what could not be read, by its path; some may be readable later
	left   []string         // paths of files that could not be begun
	begun  bool             // New has looked once
	// filesOnly leaves FIFOs for the next look.
	filesOnly bool
	said      map[string]time.Time
	watch     *watcher
}

// New looks at the paths and continues what earlier processes followed of them. It returns an
// *InputError if a path cannot be followed. It wraps a *journal.HeldError if another process
// follows it with this folder, and journal.ErrFull if there is no room for a new input.
func New(o Options) (*Set, error) {
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	o.Patience = o.Patience.withDefaults()
	if o.most == 0 {
		o.most = filesAtOnce()
	}
	if o.Folder.Path() == "" { // in memory nothing can be left for later
		o.most = math.MaxInt
	}
	paths := make([]string, 0, len(o.Paths))
	for _, path := range o.Paths {
		abs, err := filepath.Abs(path)
		if err != nil {
			return nil, &InputError{path, fmt.Sprintf("has no absolute path (%v): give one", err)}
		}
		if !slices.Contains(paths, abs) {
			paths = append(paths, abs)
		}
	}
	o.Paths = paths
	s := &Set{
		o: o, log: o.Log, byIdentity: map[disk.Identity]*file{}, parkedBy: map[disk.Identity]*parked{}, used: map[string]bool{}, dead: map[string][]*parked{}, said: map[string]time.Time{},
		unread: map[string]error{}, came: time.Now(), live: new(atomic.Int64),
	}
	if err := s.begin(); err != nil {
		s.close()
		for _, in := range s.fresh {
			in.Journal.Close()
			if in.FIFO != nil {
				in.FIFO.Close()
			}
		}
		return nil, err
	}
	return s, nil
}

func (s *Set) begin() error {
	for _, path := range s.o.Paths {
		if err := s.check(path); err != nil {
			return err
		}
	}
	if err := s.takeUpKnown(); err != nil {
		return err
	}
	// FIFOs come last. An open one must not be closed again because a file cannot be begun, for its
	// writer would die of that.
	for _, s.filesOnly = range []bool{true, false} {
		if err := s.look(time.Now()); err != nil {
			return err
		}
	}
	s.begun, s.watch = true, newWatcher()
	return nil
}

// Found returns what was found since the last call.
func (s *Set) Found() []*Input {
	found := s.fresh
	s.fresh = nil
	return found
}

// Failed returns, after Run, what could not be shipped. All of it was logged.
func (s *Set) Failed() []error {
	return slices.AppendSeq(slices.Clone(s.failed), maps.Values(s.unread))
}

// Left returns, after Run, the files that are not shipped because another process still has their
// inputs, or because there was no room for a journal. That was logged.
func (s *Set) Left() []string { return s.left }

// Run looks for more until stop ends, or nothing comes for UntilIdle. Then what is there is all,
// and files are left for another day. It gives what it finds to take, which returns false when
// nobody wants it any more; alive has ended then.
func (s *Set) Run(stop, alive context.Context, take func(*Input) bool) {
	defer s.close()
	for stop.Err() == nil && !s.idle {
		if !s.handOver(take) || !s.sleep(stop, alive) {
			break
		}
		now := time.Now()
		if err := s.look(now); err != nil {
			s.complain(err)
		}
		s.idle = s.isIdle(now)
	}
	if alive.Err() == nil {
		s.stop(alive, take)
	}
	for _, in := range s.Found() { // nobody wants it: it waits for the next start
		if err := in.Journal.Close(); err != nil {
			s.complain(err)
		}
		in.Close()
		if in.FIFO != nil {
			in.FIFO.Close()
		}
	}
}

// handOver hands over what is new. It returns false when nobody wants it.
func (s *Set) handOver(take func(*Input) bool) bool {
	for len(s.fresh) > 0 {
		if !take(s.fresh[0]) {
			return false
		}
		s.fresh = s.fresh[1:]
	}
	return true
}

// stop takes all that is there and what comes from runs under way, and ends every input.
func (s *Set) stop(alive context.Context, take func(*Input) bool) {
	s.stopping = true
	for _, f := range s.fifos {
		f.letGo(s.idle)
	}
	began := time.Now()
	tick := time.NewTicker(s.o.Patience.LastLine / 10)
	defer tick.Stop()
	for {
		now := time.Now()
		more := s.pauseAll(now)
		if !s.handOver(take) || !more {
			return
		}
		if now.Sub(began) > s.o.Patience.Gone { // it takes longer: an agent is at work
			tick.Reset(s.o.Patience.LastLine / 3)
		}
		select {
		case <-tick.C:
		case <-alive.Done():
			return
		}
	}
}

// pauseAll picks up new files while there is room, and pauses each file that ends with a whole line
// or has stopped growing. It reports whether there is more to do.
func (s *Set) pauseAll(now time.Time) (more bool) {
	if err := s.look(now); err != nil {
		s.complain(err)
	}
	for _, f := range slices.Clone(s.files) {
		more = !s.pause(f, now) || more
	}
	s.dropOver()
	return more || s.refused || slices.ContainsFunc(s.parked, (*parked).mustWake)
}

// close closes what Set itself holds open.
func (s *Set) close() {
	for _, f := range s.files {
		f.unpin()
	}
	for _, f := range s.fifos {
		f.letGo(false)
	}
	if s.watch != nil {
		s.watch.close()
	}
}

// sayAgain is how often a lasting trouble is logged.
const sayAgain = time.Minute

// complain logs an error that may pass.
func (s *Set) complain(err error) {
	now := time.Now()
	if last, ok := s.said[err.Error()]; ok && now.Sub(last) < sayAgain {
		return
	}
	s.said[err.Error()] = now
	s.log.Error(err.Error(), logfield.Of(err)...)
}

// once logs something that is as it should be.
func (s *Set) once(text string, fields ...zap.Field) {
	if _, ok := s.said[text]; !ok {
		s.said[text] = time.Now()
		s.log.Info(text, fields...)
	}
}

// leave logs what a later start has to ship.
func (s *Set) leave(path, text string) {
	if !slices.Contains(s.left, path) {
		s.left = append(s.left, path)
		s.log.Warn(text, logfield.Path(path))
	}
}

// lose logs what is not shipped.
func (s *Set) lose(err error, fields ...zap.Field) {
	s.log.Error(err.Error(), append(logfield.Of(err), fields...)...)
	s.failed = append(s.failed, err)
}
