// Package follow finds the files that --input names and makes inputs of them: files that grow,
// FIFOs, and folders of files.
//
//	follow.go   Options, the Set of followed files, and its loop
//	patience.go how long to wait for what
//	look.go     one look at all paths: what is new, what is gone
//	file.go     a followed file, from its first line until it is gone, truncated or paused
//	stem.go     files that are the stdout and the stderr of one process
//	copy.go     copies that a rotation leaves
//	park.go     any number of files, only some of them followed at a time
//	underway.go whether an agent is at work, so that the Set waits for it
//	known.go    files that earlier processes followed
//	fifo.go     FIFOs
//	once.go     the rest of a file, shipped by resume
//	watch.go    when to look again: on events from the kernel, and by polling
//
// A file is identified by its device and inode. An open descriptor keeps these from being reused,
// while the file's names may change. So a renamed file is shipped once, and a file that takes over
// its name is another input.
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

// Options say what to follow, and how.
type Options struct {
	// Paths are files, FIFOs and folders. In a folder, files named *.jsonl and *.log are followed,
	// and files named *.err and *.stderr if one of those has the same stem. Subfolders are ignored.
	Paths []string
	// Wait makes New accept paths that do not exist yet.
	Wait bool
	// UntilIdle ends Run when no path has grown for so long; 0: never. It waits longer for a run
	// that is under way.
	UntilIdle time.Duration
	// Reading ends when FIFOs should no longer be read.
	Reading context.Context

	Folder  *journal.Folder
	Journal journal.Options
	// About returns a snapshot of an input. It keeps the options of the snapshot old, if there is
	// one.
	About func(id string, note Note, old []byte) []byte
	// Known are the inputs in Folder.
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
	// Lent says that the process that holds the input only ships the rest of it. It then leaves the
	// input to a process that follows the file.
	Lent bool `json:"lent,omitempty"`
}

// Known is an input in the folder, of an earlier or a living process.
type Known struct {
	journal.Left
	Note Note
	// Mine says that the input has the target of this process. Of others, only the ids are used.
	Mine bool
}

// Input is a file or a FIFO that a Set has found.
type Input struct {
	// Journal follows a file. For a FIFO, the caller writes the bytes of FIFO to it.
	Journal *journal.Journal
	// Pipe is the journal of a FIFO, for writing; nil for a file.
	Pipe *journal.Pipe
	Path string
	// FIFO is open for reading; nil for a file. The caller closes it when Reading has ended or when
	// the last writer is gone.
	FIFO    *os.File
	Reading context.Context
	Grew    time.Time // when a file last grew, as far as the Set saw

	file     *journal.File            // the journal of a file; nil for a FIFO
	progress atomic.Pointer[progress] // nil: Shaped was not called
	paused   atomic.Int32
	closed   atomic.Bool
	once     sync.Once
	live     *atomic.Int64
}

// Close tells the Set that the caller has closed or removed the journal, so that another file may
// be followed.
func (in *Input) Close() {
	in.once.Do(func() {
		in.live.Add(-1)
		in.closed.Store(true)
	})
}

// The reasons why Journal has ended, for Paused.
const (
	finished int32 = iota
	paused
	pausedInLine
)

// Paused reports, once the journal has ended, whether a later start may continue the file. inLine
// says that the last line was being written, so its beginning is left to that start as well.
func (in *Input) Paused() (paused, inLine bool) {
	p := in.paused.Load()
	return p != finished, p == pausedInLine
}

// InputError says why a path cannot be followed.
type InputError struct {
	Path    string
	Problem string // follows the path, with the remedy
}

func (e *InputError) Error() string { return e.Path + " " + e.Problem }

// LogFields implements logfield.Named.
func (e *InputError) LogFields() []zap.Field { return []zap.Field{logfield.Path(e.Path)} }

// Set is a set of followed paths. One goroutine uses it at a time: first the caller of New, then
// the caller of Run.
type Set struct {
	o   Options
	log *zap.Logger

	files      []*file
	byIdentity map[disk.Identity]*file
	parked     []*parked
	parkedBy   map[disk.Identity]*parked
	origins    []*origin     // files that other files may be copies of
	live       *atomic.Int64 // inputs whose journals are open
	refused    bool          // a file waits because as many are followed as may be
	stopping   bool          // Run stops: it takes what is there, and waits only for runs under way
	idle       bool          // Run stops because nothing came for UntilIdle
	fifos      []*fifo
	used       map[string]bool      // ids of inputs
	dead       map[string][]*parked // by path: inputs whose file is not there

	fresh  []*Input  // found, and not returned by Found yet
	came   time.Time // when some path last grew
	failed []error
	unread map[string]error // why a path could not be read; it may be readable later
	left   []string         // files that were not shipped
	begun  bool             // New has looked once
	// filesOnly makes a look ignore FIFOs.
	filesOnly bool
	said      map[string]time.Time
	watch     *watcher
}

// New looks at the paths and continues the files that earlier processes followed. If a path cannot
// be followed, the error is an *InputError. If another process follows a path with this folder, it
// wraps a *journal.HeldError. If there is no room for a new input, it wraps journal.ErrFull.
func New(o Options) (*Set, error) {
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	o.Patience = o.Patience.withDefaults()
	if o.most == 0 {
		o.most = filesAtOnce()
	}
	if o.Folder.Path() == "" { // a file cannot be parked, because its cursor is kept in memory only
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
	// FIFOs come last. Once open, a FIFO must not be closed because a file cannot be followed: that
	// would kill the FIFO's writer.
	for _, s.filesOnly = range []bool{true, false} {
		if err := s.look(time.Now()); err != nil {
			return err
		}
	}
	s.begun, s.watch = true, newWatcher()
	return nil
}

// Found returns the inputs that were found since the last call.
func (s *Set) Found() []*Input {
	found := s.fresh
	s.fresh = nil
	return found
}

// Failed returns, after Run, why something could not be shipped. Run has logged all of it.
func (s *Set) Failed() []error {
	return slices.AppendSeq(slices.Clone(s.failed), maps.Values(s.unread))
}

// Left returns, after Run, the files that were not shipped because another process still has their
// inputs, or because there was no room for a journal. Run has logged them.
func (s *Set) Left() []string { return s.left }

// Run looks for more files until stop ends, or until nothing comes for UntilIdle. Then it takes
// what is there and pauses every file. It passes the inputs that it finds to take. If take returns
// false, because alive has ended, Run returns.
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
	for _, in := range s.Found() { // nobody took these: they wait for the next start
		if err := in.Journal.Close(); err != nil {
			s.complain(err)
		}
		in.Close()
		if in.FIFO != nil {
			in.FIFO.Close()
		}
	}
}

// handOver passes new inputs to take. It returns false if take does.
func (s *Set) handOver(take func(*Input) bool) bool {
	for len(s.fresh) > 0 {
		if !take(s.fresh[0]) {
			return false
		}
		s.fresh = s.fresh[1:]
	}
	return true
}

// stop takes what is there and what comes from runs under way, and ends every input.
func (s *Set) stop(alive context.Context, take func(*Input) bool) {
	s.stopping = true
	for _, f := range s.fifos {
		f.release(s.idle)
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
		if now.Sub(began) > s.o.Patience.Gone { // an agent is at work, so it takes longer
			tick.Reset(s.o.Patience.LastLine / 3)
		}
		select {
		case <-tick.C:
		case <-alive.Done():
			return
		}
	}
}

// pauseAll follows new files while there is room, and pauses each file that ends with a whole line
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

// close closes the files that the Set itself has open.
func (s *Set) close() {
	for _, f := range s.files {
		f.unpin()
	}
	for _, f := range s.fifos {
		f.release(false)
	}
	if s.watch != nil {
		s.watch.close()
	}
}

// sayAgain is how often an error that persists is logged.
const sayAgain = time.Minute

// complain logs an error that may be temporary.
func (s *Set) complain(err error) {
	now := time.Now()
	if last, ok := s.said[err.Error()]; ok && now.Sub(last) < sayAgain {
		return
	}
	s.said[err.Error()] = now
	s.log.Error(err.Error(), logfield.Of(err)...)
}

// once logs information, once for each text.
func (s *Set) once(text string, fields ...zap.Field) {
	if _, ok := s.said[text]; !ok {
		s.said[text] = time.Now()
		s.log.Info(text, fields...)
	}
}

// leave logs that a file is left to a later start.
func (s *Set) leave(path, text string) {
	if !slices.Contains(s.left, path) {
		s.left = append(s.left, path)
		s.log.Warn(text, logfield.Path(path))
	}
}

// lose logs that bytes are lost or a file cannot be shipped, which fails the run.
func (s *Set) lose(err error, fields ...zap.Field) {
	s.log.Error(err.Error(), append(logfield.Of(err), fields...)...)
	s.failed = append(s.failed, err)
}
