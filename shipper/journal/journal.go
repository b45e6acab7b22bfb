// Package journal keeps an input on disk, together with how far it is acked.
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
// Bytes are kept until they are acked, and as long as the cursor on disk needs them. If bytes are
// lost all the same, an error names them: a [GapError], a [CutError], a [TruncatedError] or a
// [DamageError].
//
// One goroutine writes ([Pipe.Write], [Pipe.Take], [Pipe.WaitRoom]), and one reads and acks
// ([Journal.ReadAt], [Journal.ArrivalAt], [Journal.Ack], [Journal.Reject], [Journal.Remove]). Any
// goroutine may call the rest. It may also call ReadAt, so that a second reader can follow at its
// own pace: see [Journal.Retain] and [Journal.Subscribe].
//
// # On disk
//
//	version                            the layout of this folder: 1
//	alive-*                            locked by a living shipper; see [Heartbeat]
//	<id>/lock                          locked (flock) by the living owner; has its pid
//	<id>/input                         what the input is; written last, when it is complete
//	<id>/about                         the caller's snapshot of options and target
//	<id>/cursor.a, cursor.b            the cursor, written alternately
//	<id>/arrivals                      when the byte at an offset arrived
//	<id>/00000000000067108864.segment  bytes of a Pipe, named by the first offset
//	<id>/fifo                          what a command writes, on its way to segments
//	<id>/00000000000000000000.output   bytes of an Output, behind a line of ours
//	<id>/rejects.jsonl                 events that CloudWatch rejected
//	<id>/finished                      the input is being removed
//
// If no folder is writable, the files are memfds: see [InMemory]. If the folder of a Pipe fails
// later, the Pipe goes on in memory: its segments are in the folder up to an offset, and in memory
// from there on. See [Journal.Degraded]. This is a state of the one input, because a second input
// for the bytes in memory would cut a line in two and split a job's ids and digest.
//
// # Files
//
//	journal.go                              Journal: what the three kinds share
//	pipe.go, pipe_write.go, pipe_read.go    Pipe: writing, reading and deleting segments
//	pipe_degraded.go                        a disk that fails while it is in use
//	fifo.go                                 a Pipe that a command fills through a FIFO
//	output.go, output_file.go               Output: a command's stdout, and how it is read
//	cut.go                                  its truncation
//	output_room.go, output_writer.go        its disk space; whether somebody still writes it
//	follow.go, followed.go                  File: a followed file, and how it is read
//	identity.go, hole.go                    whether it is still the same file; holes in it
//	grown.go                                what an Output's file and a followed file share
//	watch.go                                waking readers, and watching a file that others write
//	cursorfiles.go, arrivals.go             the cursor, and the index of arrivals
//	folder.go, inputfolder.go, recover.go   the folder; making, finding and recovering an input
//	inspect.go, heartbeat.go                inspecting a folder from outside; signs of life
//	lock.go, store.go, memory.go            the lock; the place of the files: a folder, or memory
//	errors.go, id.go, rejects.go            errors, ids, events that CloudWatch rejected
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

// kindNames are the names in the file "input". The name of an Output there is older than its type.
var kindNames = [...]string{KindPipe: "pipe", KindOutput: "child", KindFile: "file"}

// String returns the name of the kind for messages.
func (k Kind) String() string {
	if k == KindOutput {
		return "command's output"
	}
	if k < 0 || int(k) >= len(kindNames) {
		return fmt.Sprintf("kind %d", int(k))
	}
	return kindNames[k]
}

const (
	defaultSegmentBytes = 64 << 20 // the design's segment size
	minSegmentBytes     = 64 << 10 // smaller files cost more than their bytes

	// segmentsPerLimit is how many segments fit into the limit at least. Space comes back one
	// segment at a time, so if a single segment filled it, the writer would have to wait until
	// everything is acked.
	segmentsPerLimit = 8
)

// Options are those of one input. They are recorded with it and apply again when it is recovered.
type Options struct {
	SegmentBytes int64         // size of a Pipe's segments; 0: 64 MiB, or less if MaxBytes is small
	MaxBytes     int64         // limit on this input's space, in allocated bytes; 0: none
	Sync         time.Duration // interval between fsyncs; 0: never, the kernel decides
}

// Cursor is how far an input is acked.
type Cursor struct {
	Offset int64  // all bytes before it are acked
	State  []byte // belongs to the caller and is opaque here; at most MaxStateBytes
}

// source provides the bytes of a Journal: a pipe, or a file that somebody else writes. It has a
// method for everything that differs between the kinds and concerns every reader.
type source interface {
	readAt(p []byte, off int64) (int, error)
	size() int64
	ended() bool
	mark(off int64) uint32 // checksum of the bytes just before off; 0 if only we can change them
	free() error           // gives acked bytes back as far as offsets allow; for any goroutine
	noteAck(err error)     // learns how an Ack went
	allocated() int64
	perishable(acked int64) int64   // bytes from acked on that a later start would not find
	unacked(acked int64) int64      // bytes from acked on that removing the input would lose
	overtaken(from int64) *CutError // the truncation after from, or nil if there was none
	degraded() *MemoryError         // why bytes are in memory and not on disk; nil if they are not
	sync() error
	close() error
}

// Journal is what every kind of input has: bytes to read, a cursor and a lock. Each [Pipe],
// [Output] and [File] embeds one. The package comment says which goroutine may call what.
type Journal struct {
	// immutable once set
	id            string
	kind          Kind
	folder        *Folder
	st            store
	lock          *lock
	src           source
	openState                  // what was found when the input was opened
	beganInMemory *MemoryError // set if the input was made in memory because the disk had failed

	header header // of an Output, outputFile.mu guards it once the input has started

	cur *cursorFiles // owned by the goroutine that reads and acks
	arr *arrivals

	offsets
	bell bell // wakes readers
	details
	background
}

// openState is what a Journal found when it was opened. It is immutable.
type openState struct {
	found      Cursor
	fallback   string
	damage     *DamageError
	seenBefore int64
}

// offsets say how far an input is acked, and so which bytes may be given back.
type offsets struct {
	acked     atomic.Int64 // offset of the latest Ack, persisted or not
	persisted atomic.Int64 // where a start after a crash begins; only bytes before it are freed
	retained  atomic.Int64 // a second reader still needs the bytes from here on
}

// reclaimable returns the offset below which nobody needs bytes any more: they were persisted as
// acked and are not retained.
func (o *offsets) reclaimable() int64 { return min(o.persisted.Load(), o.retained.Load()) }

// delivered returns the offset below which this process needs no bytes any more, although a process
// that starts at the persisted cursor might.
func (o *offsets) delivered() int64 { return min(o.acked.Load(), o.retained.Load()) }

// startAt makes off the offset at which everything begins.
func (o *offsets) startAt(off int64) {
	o.acked.Store(off)
	o.persisted.Store(off)
}

// details are values that any goroutine may get or set and none does often. They have a mutex,
// because if one goroutine owned them, the others would need a request and an answer for a value
// that changes once an hour.
type details struct {
	mu       sync.Mutex // guards the rest
	about    []byte
	rejected bool
	closed   bool
}

// background controls the goroutines that work until Close.
type background struct {
	stop    chan struct{} // closed by Close
	done    sync.WaitGroup
	failure atomic.Pointer[error] // the latest error, until BackgroundError returns it
}

// A Recovered input is a [*Pipe] (pipe.go), an [*Output] (output.go) or a [*File] (follow.go).
type Recovered interface {
	Base() *Journal

	attach() error // opens the source
	run()          // starts the background work
}

// Base returns the Journal that every kind of input has.
func (j *Journal) Base() *Journal { return j }

// ID returns the id of the input, as given to NewPipe, NewOutput or Follow.
func (j *Journal) ID() string { return j.id }

// Kind says who writes the bytes of the input.
func (j *Journal) Kind() Kind { return j.kind }

// Path returns the input's folder, or "" in memory. The folder may be gone: see [Journal.Gone].
func (j *Journal) Path() string { return j.st.dir() }

// FilePath returns the path of the followed file, as given to Follow, or "" for a Pipe or an
// Output.
func (j *Journal) FilePath() string { return j.header.Path }

// About returns a copy of the caller's snapshot as it was last set.
func (j *Journal) About() []byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.about)
}

// SetAbout replaces the whole snapshot. If it fails, the old one remains.
func (j *Journal) SetAbout(about []byte) error {
	if err := j.st.replace(aboutName, about); err != nil {
		return fmt.Errorf("input %s: keep its options: %w", j.id, asFull(err))
	}
	j.mu.Lock()
	j.about = slices.Clone(about)
	j.mu.Unlock()
	return nil
}

// ReadAt reads bytes at off into p. It returns fewer than len(p) at the end of a segment, and 0 and
// no error at the end of the bytes written so far. Its errors are:
//
//   - [*GapError]: bytes from off on are missing; it says where the input goes on.
//   - [*HoleError]: nobody wrote the bytes from off on.
//   - [ErrTruncated]: the file shrank, and a File has ended. A [*CutError] says where an Output
//     goes on.
//   - [ErrAcked]: off was acked and its space given back, because a second reader was too slow and
//     did not call Retain.
func (j *Journal) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("input %s: read at negative offset %d", j.id, off)
	}
	return j.src.readAt(p, off)
}

// Size returns the offset after the last byte that was ever written to the input.
func (j *Journal) Size() int64 { return j.src.size() }

// Ended reports whether no more bytes can come, so that Size is final:
//
//   - A Pipe has ended after End, or if it was recovered and no command writes its FIFO.
//   - An Output has ended after End, or if it was recovered and no process writes it any more.
//   - A File has ended after StopFollowing, or when it was truncated.
func (j *Journal) Ended() bool { return j.src.ended() }

// ArrivalAt returns when the byte at off arrived, in ms since 1970. The time is at most about 100
// ms too early, and it is the same after a restart. Asking for ascending offsets is cheap.
func (j *Journal) ArrivalAt(off int64) int64 { return j.arr.at(off) }

// Cursor returns the cursor found at the start, which is zero for a new input. The caller may keep
// its State.
func (j *Journal) Cursor() Cursor { return j.found }

// Fallback explains to people why Cursor is not the one that the previous owner left. It returns ""
// if it is that one. If the state is also lost, Cursor().State is nil.
func (j *Journal) Fallback() string { return j.fallback }

// Damage returns a [*DamageError] that says what was missing from the folder, or did not belong
// there, when the input was recovered. It returns nil if all was well. The remaining bytes can be
// read all the same, and ReadAt says where there are gaps.
func (j *Journal) Damage() error {
	if j.damage == nil { // not a typed nil in an interface
		return nil
	}
	return j.damage
}

// Ack records that everything before c.Offset is delivered. It persists the cursor, then gives back
// the bytes that nobody needs. If the cursor cannot be written, Ack returns the error and gives
// nothing back except bytes that are in memory because the disk has failed (see
// [Journal.Degraded]). The next Ack tries again with its own cursor. Offsets never go back. Ack
// does not keep c.State.
func (j *Journal) Ack(c Cursor) error {
	if size := j.src.size(); c.Offset < j.acked.Load() || c.Offset > size {
		return fmt.Errorf("input %s: ack of offset %d, which is not in %d to %d", j.id, c.Offset, j.acked.Load(), size)
	}
	j.acked.Store(c.Offset)
	err := j.cur.put(c, j.src.mark(c.Offset))
	if err != nil {
		err = fmt.Errorf("input %s: write the cursor in %s (this is retried; until it works, a restart ships again what is already delivered): %w", j.id, j.st.dir(), asFull(err))
	} else {
		j.persisted.Store(c.Offset)
		j.arr.free(j.reclaimable())
	}
	err = errors.Join(err, j.free())
	j.src.noteAck(err)
	return err
}

// Acked returns the offset below which everything is delivered, whether or not the cursor that says
// so was written.
func (j *Journal) Acked() int64 { return j.acked.Load() }

func (j *Journal) free() error {
	if err := j.src.free(); err != nil {
		return fmt.Errorf("input %s: free the space of acked bytes: %w", j.id, err)
	}
	return nil
}

// Retain keeps the bytes from off on, although they are acked, for a second reader that is at off.
// Call Retain(0) before the first Ack, and Retain again as that reader advances: each call gives
// back the bytes that both readers are done with. StopRetaining ends it.
func (j *Journal) Retain(off int64) {
	j.retained.Store(off)
	if err := j.free(); err != nil {
		j.noteFailure(err)
	}
}

// StopRetaining ends what Retain began: bytes are given back once they are acked.
func (j *Journal) StopRetaining() { j.Retain(math.MaxInt64) }

// Changed delivers a value at the start and after each growth, end, truncation or BackgroundError.
// Several may come as one. It is for one goroutine; others use Subscribe.
func (j *Journal) Changed() <-chan struct{} { return j.bell.main }

// Subscribe is Changed for another reader, until stop is called.
func (j *Journal) Subscribe() (changed <-chan struct{}, stop func()) { return j.bell.subscribe() }

// Allocated returns the space that the input's bytes take now: the sum of a Pipe's segment sizes,
// the blocks of an Output, and 0 for a File, which is not ours. It does not count the few KiB of
// the cursor and the index.
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

// Close keeps the input for a later Recover and releases the lock. Calls in progress or made later
// fail with [os.ErrClosed]. Ack and Reject must not be in progress. A second Close does nothing.
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

// Remove closes a finished input and deletes its folder, which remains only if there are rejects in
// it. It refuses with ErrUnacked to remove a Pipe or an Output that has unacked bytes. If somebody
// has deleted the folder already, Remove just closes the input.
func (j *Journal) Remove() error {
	if n := j.src.unacked(j.acked.Load()); n > 0 {
		return fmt.Errorf("input %s: not removed: %w: %d of %d; ack them or close the journal", j.id, ErrUnacked, n, j.src.size())
	}
	var err error
	gone := j.Gone()
	if !gone {
		err = j.markFinished()
	}
	j.lock.deferRelease() // until the folder is empty, nobody else may take it
	err = errors.Join(err, j.Close())
	if err == nil && !gone {
		err = discard(j.st)
	}
	err = errors.Join(err, j.lock.drop())
	j.folder.forget(j.id)
	if err != nil {
		return fmt.Errorf("input %s: remove it from %s (it is delivered; if it stays there, the next start with that folder ships it again, and readers drop the repeats): %w", j.id, j.st.dir(), err)
	}
	return nil
}

// Degraded returns a [*MemoryError] if the disk has failed and the input goes on in memory, and nil
// otherwise. An input does not recover from that. Any goroutine may call Degraded.
func (j *Journal) Degraded() error {
	if j.beganInMemory != nil {
		return j.beganInMemory
	}
	if err := j.src.degraded(); err != nil { // not a typed nil in an interface
		return err
	}
	return nil
}

// Gone reports whether the input's folder was deleted, or belongs to another input with the same
// id: a followed file has one id, whoever follows it. Open files keep their bytes until they are
// closed. Gone is false in memory.
func (j *Journal) Gone() bool {
	dir := j.st.dir()
	if dir == "" {
		return false
	}
	_, err := os.Lstat(dir)
	return errors.Is(err, os.ErrNotExist) || j.lock.replaced(filepath.Join(dir, lockName))
}

// Perishable returns how many unacked bytes a later start would not find, because they are in
// memory or in a deleted file. It is 0 for a File, whose bytes are not ours.
func (j *Journal) Perishable() int64 { return j.src.perishable(j.acked.Load()) }
