// Package journal keeps an input on disk, and how far it is acked.
//
// A journal is the raw bytes of one input, addressed by their offset from its start, and a cursor:
// the offset up to which everything is acked, with a state that belongs to the caller. It knows
// nothing about lines or events.
//
// # Kinds
//
// There are three kinds of input, and each embeds a [Journal], which has what they share. A [Pipe]
// is written by this process, into segments that are deleted when they are acked. An [Output] is a
// file that a command writes as its stdout; acked ranges of it are given back by punching holes. A
// [File] is somebody else's and is only read. All are read in the same way, live or after a crash:
// recovery is a start at the cursor.
//
// # Contract
//
// What was written is kept until it is acked, and nothing is given back that the cursor on disk
// still needs. Bytes that are lost all the same are named: a [GapError], a [CutError], a
// [TruncatedError], a [DamageError].
//
// One goroutine writes ([Pipe.Write], [Pipe.Take], [Pipe.WaitRoom]), and one reads and acks
// ([Journal.ReadAt], [Journal.ArrivalAt], [Journal.Ack], [Journal.Reject], [Journal.Remove]).
// Everything else, and ReadAt too, may be called from any goroutine, so that a second reader can
// follow at its own pace: see [Journal.Retain] and [Journal.Subscribe].
//
// # On disk
//
//	<folder>/version                              the layout of this folder: 1
//	<folder>/<id>/lock                            flock by the living owner, with its pid
//	<folder>/<id>/input                           what the input is; written last, so it says "complete"
//	<folder>/<id>/about                           the caller's snapshot of options and target
//	<folder>/<id>/cursor.a, cursor.b              the cursor, written in turns
//	<folder>/<id>/arrivals                        when the byte at an offset arrived
//	<folder>/<id>/00000000000067108864.segment    bytes of a Pipe, named by the first offset
//	<folder>/<id>/fifo                            what a command writes, on its way into a Pipe's segments
//	<folder>/<id>/00000000000000000000.output     bytes of an Output: a line of ours, then a command's stdout
//	<folder>/<id>/rejects.jsonl                   what CloudWatch rejected
//	<folder>/<id>/finished                        the input is being removed
//
// Where no folder can be written, the files are memfds: see [InMemory]. If its folder fails under
// way, a Pipe goes on like that: up to an offset its segments are in the folder, and from there on
// in memory. See [Journal.Degraded]. A second input for what is in memory would cut a line in two
// and split a job's ids and digest, so this is a state of the one input.
//
// # Files
//
//	journal.go                              Journal: what the kinds have in common
//	pipe.go, pipe_write.go, pipe_read.go    Pipe: segments that are written, read and given back
//	pipe_degraded.go                        a disk that fails under way
//	fifo.go                                 a Pipe that a command fills through a FIFO
//	output.go, output_file.go               Output: a command's stdout, and how it is read
//	cut.go                                  its truncation
//	output_room.go, output_writer.go        its disk space; whether somebody still writes it
//	follow.go, followed.go                  File: a followed file, and how it is read
//	identity.go, hole.go                    whether it is still the same file; holes in it
//	grown.go                                what an Output's file and a followed file share
//	watch.go                                waking readers, and watching a file that others write
//	cursorfiles.go, arrivals.go             the cursor, and the index of arrivals
//	folder.go, input.go, recover.go         the folder; making, finding and taking over an input
//	inspect.go, heartbeat.go                looking into a folder from outside
//	lock.go, store.go, memory.go            the lock; where files are: a folder, or memory
//	errors.go, id.go, rejects.go            errors, ids, what CloudWatch rejected
package journal

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Kind says who writes the bytes of an input.
type Kind int

const (
	KindPipe   Kind = iota // this process, from what it reads: see [Pipe]
	KindOutput             // a command, which has the file as its stdout: see [Output]
	KindFile               // somebody else, into a file that is followed: see [File]
)

// kindNames are the names in the file "input". The on-disk name of an Output is older than its type.
var kindNames = [...]string{KindPipe: "pipe", KindOutput: "child", KindFile: "file"}

func (k Kind) String() string {
	if k < 0 || int(k) >= len(kindNames) {
		return fmt.Sprintf("kind %d", int(k))
	}
	return kindNames[k]
}

const (
	defaultSegmentBytes = 64 << 20 // the design's segment size
	minSegmentBytes     = 64 << 10 // below this, files cost more than their bytes

	// segmentsPerLimit is how many segments the limit holds at least. Space comes back a segment at
	// a time, so if one segment filled it all, the writer would wait until everything is acked.
	segmentsPerLimit = 8
)

// Options are those of one input. They are recorded with it, and hold again when it is recovered.
type Options struct {
	SegmentBytes int64         // size of a Pipe's segments; 0 = 64 MiB, less where MaxBytes is small
	MaxBytes     int64         // most space this input may take, in allocated bytes; 0 = no limit
	Sync         time.Duration // how often what was written is forced to the medium; 0 = never: the kernel decides
}

// Cursor is how far an input is acked.
type Cursor struct {
	Offset int64  // all bytes before it are acked
	State  []byte // the caller's own, opaque here; at most MaxStateBytes
}

// source holds the bytes of a Journal: a pipe, or a file that somebody else writes. Whatever
// differs between the kinds and concerns every reader is a method of it.
type source interface {
	readAt(p []byte, off int64) (int, error)
	size() int64
	ended() bool
	mark(off int64) uint32 // a checksum of the bytes just before off; 0 where nobody else can change them
	free() error           // gives acked bytes back, as far as offsets allow; from any goroutine
	noteAck(err error)     // learns how an Ack went
	allocated() int64
	perishable(acked int64) int64   // how many bytes from acked on no later start would find
	unacked(acked int64) int64      // how many bytes from acked on are lost if the input is removed
	overtaken(from int64) *CutError // the truncation after from; nil: there was none
	degraded() *MemoryError         // why bytes are in memory instead of on the disk; nil: they are not
	sync() error
	close() error
}

// Journal is what every kind of input has: its bytes to read, its cursor, its lock. Each [Pipe],
// [Output] and [File] embeds one. See the package comment for who may call what.
type Journal struct {
	// immutable once set
	id            string
	kind          Kind
	folder        *Folder
	st            store
	lock          *lock
	src           source
	openState                  // what was found when the input was opened
	beganInMemory *MemoryError // it is in memory since it began, because the disk had failed

	header header // of an Output, outputFile.mu guards it once the input has started

	cur *cursorFiles // owned by the goroutine that reads and acks
	arr *arrivals

	offsets
	bell bell // wakes readers
	shared
	background
}

// openState is what a Journal found when it was opened. It is immutable.
type openState struct {
	found      Cursor
	fallback   string
	damage     *DamageError
	seenBefore int64
}

// offsets say how far an input is acked, and so what may be given back.
type offsets struct {
	acked     atomic.Int64 // offset of the latest Ack, persisted or not
	persisted atomic.Int64 // offset that a crash would start from; only what is before it is freed
	retained  atomic.Int64 // a second reader still needs what is at and after it
}

// reclaimable is the offset up to which nothing is needed any more: it was persisted as acked, and
// is not held.
func (o *offsets) reclaimable() int64 { return min(o.persisted.Load(), o.retained.Load()) }

// delivered is the offset up to which this process needs nothing any more, whatever a process that
// starts at the cursor would need.
func (o *offsets) delivered() int64 { return min(o.acked.Load(), o.retained.Load()) }

// startAt makes off the offset that everything starts from.
func (o *offsets) startAt(off int64) {
	o.acked.Store(off)
	o.persisted.Store(off)
}

// shared is what any goroutine may ask for or change and none does often. It has a mutex because
// ownership by one goroutine would cost the others a request and an answer for a value that changes
// once an hour.
type shared struct {
	mu       sync.Mutex // guards the rest
	about    []byte
	rejected bool
	closed   bool
}

// background is the goroutines that work until Close.
type background struct {
	stop    chan struct{} // closed by Close
	done    sync.WaitGroup
	failure atomic.Pointer[error] // the latest, until BackgroundError returns it
}

// A Recovered input is a [*Pipe], a [*Output] or a [*File].
type Recovered interface {
	Base() *Journal

	attach() error // opens what holds the bytes
	run()          // starts the background work
}

// Base returns the Journal that every kind of input has.
func (j *Journal) Base() *Journal { return j }

// ID is the id of the input, as it was given to NewPipe, NewOutput or Follow.
func (j *Journal) ID() string { return j.id }

// Kind says who writes the bytes of an input.
func (j *Journal) Kind() Kind { return j.kind }

// Path is the input's folder, and "" in memory. The folder may be gone: see [Journal.Gone].
func (j *Journal) Path() string { return j.st.dir() }

// FilePath is the path of the followed file, as it was given to Follow, and "" of a Pipe or
// an Output.
func (j *Journal) FilePath() string { return j.header.Path }

// About returns a copy of the caller's snapshot, as it was last set.
func (j *Journal) About() []byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.about)
}

// SetAbout replaces the snapshot, as a whole or not at all.
func (j *Journal) SetAbout(about []byte) error {
	if err := j.st.replace(aboutName, about); err != nil {
		return fmt.Errorf("input %s: keep its options: %w", j.id, asFull(err))
	}
	j.mu.Lock()
	j.about = slices.Clone(about)
	j.mu.Unlock()
	return nil
}

// ReadAt reads into p what is there from off on: less than len(p) at the end of a segment, and 0
// and nil at the end of what is there. A [*GapError] says that bytes from off on are missing and
// where the input goes on; a [*HoleError] that nobody wrote them; [ErrTruncated] that the file
// shrank and the input has ended, or, as a [*CutError], where it goes on; [ErrAcked] that off was
// acked and its space given back, because a second reader was too slow and did not Hold.
func (j *Journal) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("input %s: read at negative offset %d", j.id, off)
	}
	return j.src.readAt(p, off)
}

// Size is the offset after the last byte that was ever written to the input.
func (j *Journal) Size() int64 { return j.src.size() }

// Ended reports whether no more bytes can come, so that Size is final. A Pipe has ended after End,
// or when it is recovered and no command writes its FIFO; an Output after End, or when it is
// recovered and no writer is left; a File after StopFollowing, or when it was truncated.
func (j *Journal) Ended() bool { return j.src.ended() }

// ArrivalAt returns when the byte at off arrived, in ms since 1970, at most about 100 ms too early.
// The answer is the same after a restart. Asking for ascending offsets is cheap.
func (j *Journal) ArrivalAt(off int64) int64 { return j.arr.at(off) }

// Cursor returns the cursor that was found at the start; it is zero for a new input. The caller may
// keep State.
func (j *Journal) Cursor() Cursor { return j.found }

// Fallback says, for people, why Cursor is not what the previous owner left, and "" if it is. If
// the state is lost too, Cursor().State is nil.
func (j *Journal) Fallback() string { return j.fallback }

// Damage returns a [*DamageError] that says what was missing or did not belong in the folder when
// the input was recovered, or nil. What is held can be read all the same, and ReadAt says where it
// has gaps.
func (j *Journal) Damage() error {
	if j.damage == nil { // not a typed nil in an interface
		return nil
	}
	return j.damage
}

// Ack says that everything before c.Offset is delivered. It persists the cursor, then gives back
// what nobody needs. If the cursor cannot be written, the error says so, nothing is given back
// except what is in memory because the disk has failed (see [Journal.Degraded]), and the next Ack
// tries again with its own cursor. Offsets never go back. Ack only reads c.State.
func (j *Journal) Ack(c Cursor) error {
	if size := j.src.size(); c.Offset < j.acked.Load() || c.Offset > size {
		return fmt.Errorf("input %s: ack of offset %d outside of %d to %d", j.id, c.Offset, j.acked.Load(), size)
	}
	j.acked.Store(c.Offset)
	err := j.cur.put(c, j.src.mark(c.Offset))
	if err != nil {
		err = fmt.Errorf("input %s: keep the cursor in %s (this is retried; until it works, a restart ships again what is already delivered): %w", j.id, j.st.dir(), asFull(err))
	} else {
		j.persisted.Store(c.Offset)
		j.arr.free(j.reclaimable())
	}
	err = errors.Join(err, j.free())
	j.src.noteAck(err)
	return err
}

// Acked is the offset up to which everything is delivered, whether or not the cursor that says so
// could be kept.
func (j *Journal) Acked() int64 { return j.acked.Load() }

func (j *Journal) free() error {
	if err := j.src.free(); err != nil {
		return fmt.Errorf("input %s: give acked space back: %w", j.id, err)
	}
	return nil
}

// Hold keeps what is at and after off from being given back though it is acked, for a second reader
// that has come to off. Call Hold(0) before the first Ack, and Hold again as that reader goes on:
// each call gives back what both are done with. StopRetaining ends it.
func (j *Journal) Retain(off int64) {
	j.retained.Store(off)
	if err := j.free(); err != nil {
		j.noteFailure(err)
	}
}

// StopRetaining ends Retain.
func (j *Journal) StopRetaining() { j.Retain(math.MaxInt64) }

// Changed delivers a value at the start and after each growth, end, truncation or BackgroundError.
// Several may come as one. It is for one goroutine; others use Subscribe.
func (j *Journal) Changed() <-chan struct{} { return j.bell.main }

// Subscribe is Changed for one more reader, until stop is called.
func (j *Journal) Subscribe() (changed <-chan struct{}, stop func()) { return j.bell.subscribe() }

// Allocated is the space that the input's bytes take now: the sum of the segments' sizes of a Pipe,
// the blocks of an Output, and 0 for a File, which is not ours. The few KiB of the cursor and
// the index are not counted.
func (j *Journal) Allocated() int64 { return j.src.allocated() }

// BackgroundError returns the latest error of work that no caller waits for, such as fsync and
// giving space back in Retain, and forgets it. It returns nil if there was none. Changed delivers a
// value when there is one.
func (j *Journal) BackgroundError() error {
	if j.failure.Load() == nil { // callers ask often
		return nil
	}
	if err := j.failure.Swap(nil); err != nil {
		return *err
	}
	return nil
}

func (j *Journal) noteFailure(err error) {
	j.failure.Store(&err)
	j.bell.ring()
}

// Close keeps what is there for a later Recover, and releases the lock. Calls that come later or
// are under way fail with [os.ErrClosed]; Ack and Reject must not be under way. A second Close does
// nothing.
func (j *Journal) Close() error {
	j.mu.Lock()
	was := j.closed
	j.closed = true
	j.mu.Unlock()
	if was {
		return nil
	}
	close(j.stop)
	j.done.Wait()
	var errs []error
	if j.header.Sync > 0 {
		errs = append(errs, j.syncAll())
	}
	errs = append(errs, j.src.close())
	errs = append(errs, j.cur.close(), j.arr.close(), j.lock.release())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("input %s: close: %w", j.id, err)
	}
	return nil
}

// ErrUnacked is returned by Remove for an input with bytes that are not acked.
var ErrUnacked = errors.New("it has bytes that are not acked")

// Remove forgets a finished input: its folder goes, or keeps only the rejects if there are any. It
// closes the journal. It refuses, with ErrUnacked, to remove a Pipe or an Output of which not
// everything was acked. If somebody has removed the folder, there is nothing left to do.
func (j *Journal) Remove() error {
	if n := j.src.unacked(j.acked.Load()); n > 0 {
		return fmt.Errorf("input %s: not removed: %w: %d of %d; ack them or close the journal", j.id, ErrUnacked, n, j.src.size())
	}
	var err error
	gone := j.Gone()
	if !gone {
		err = j.markFinished()
	}
	j.lock.deferRelease() // the folder is emptied before somebody else may take it
	err = errors.Join(err, j.Close())
	if err == nil && !gone {
		err = discard(j.st)
	}
	err = errors.Join(err, j.lock.drop())
	j.folder.forget(j.id)
	if err != nil {
		return fmt.Errorf("input %s: remove it from %s (it is delivered; if it stays there, the next start on that folder ships it again, and readers drop the repeats): %w", j.id, j.st.dir(), err)
	}
	return nil
}

// Degraded returns a [*MemoryError] if the disk has failed and the input goes on in memory, and nil
// otherwise. It stays so. Any goroutine may ask.
func (j *Journal) Degraded() error {
	if j.beganInMemory != nil {
		return j.beganInMemory
	}
	if err := j.src.degraded(); err != nil { // not a typed nil in an interface
		return err
	}
	return nil
}

// Gone reports whether the input's folder is gone, or belongs to another input of the same id: a
// followed file has one id, whoever follows it. Open files keep what they hold until they are
// closed. Gone is false in memory.
func (j *Journal) Gone() bool {
	dir := j.st.dir()
	if dir == "" {
		return false
	}
	_, err := os.Lstat(dir)
	return errors.Is(err, os.ErrNotExist) || j.lock.replaced(filepath.Join(dir, lockName))
}

// Perishable returns how many of the unacked bytes are in no file that a later start would find. It
// is 0 for a File, whose bytes are not ours.
func (j *Journal) Perishable() int64 { return j.src.perishable(j.acked.Load()) }
