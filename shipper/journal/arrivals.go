package journal

// This file is the index of arrivals: when the byte at an offset was first seen. An entry has 16
// bytes, an offset and a time in ms since 1970, little endian. It says that the bytes from that
// offset to the next entry's arrived at that time. It is written before those bytes can be read, so
// a restart finds the same time for them. The index is only an aid: if an entry is missing, the one
// before it applies.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"perstack-shipper/shipper/disk"
)

const (
	arrivalBytes  = 16
	arrivalEvery  = 100      // ms: least time between entries, which makes 160 bytes a second
	arrivalFree   = 64 << 10 // bytes of acked entries that are worth a hole
	arrivalWindow = 256 * arrivalBytes
)

type arrival struct{ off, ms int64 }

type arrivals struct {
	start int64 // ms: the time of bytes before the first entry; immutable

	f      *os.File
	n      atomic.Int64                  // entries in the files, including those punched out
	memory atomic.Pointer[memoryEntries] // set once, by the writer, when the disk has failed

	// The latest entry. It belongs to the writer: a Pipe's writer, or the holder of grownFile.mu.
	last    int64 // ms
	lastOff int64

	// owned by the goroutine that reads and acks
	now     arrival // the entry that applies to the latest question
	next    int64   // index of the entry after now
	window  [arrivalWindow]byte
	winFrom int64 // index of the first entry in window
	winN    int64 // entries in window
	punched int64 // bytes freed at the front, once punching has worked
	noPunch bool
}

// memoryEntries are entries in memory, from index base on.
type memoryEntries struct {
	base int64
	f    *os.File
}

func createArrivals(st store, start int64) (*arrivals, error) {
	f, err := st.create(arrivalsName)
	if err != nil {
		return nil, err
	}
	return &arrivals{f: f, start: start, now: arrival{0, start}}, nil
}

// openArrivals opens the index and keeps its valid front: offsets that do not decrease, and
// plausible times. problem says what is wrong with it, and is "" if nothing is. If the index is
// missing, openArrivals makes an empty one.
func openArrivals(st store, start int64) (a *arrivals, problem string, err error) {
	f, err := st.open(arrivalsName, true)
	if os.IsNotExist(err) {
		a, err = createArrivals(st, start)
		return a, "its index of arrivals is lost" + consequence, err
	}
	if err != nil {
		return nil, "", err
	}
	a = &arrivals{f: f, start: start, now: arrival{0, start}}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, "", err
	}
	a.n.Store(info.Size() / arrivalBytes)
	var valid, before int64
	for valid < a.n.Load() {
		e, ok := a.entry(valid)
		hole := e == (arrival{}) && before == 0
		if !ok || !hole && (e.off < before || e.off > maxOffset || e.ms <= 0 || e.ms > maxTime) {
			break
		}
		before, a.lastOff, a.last = e.off, e.off, e.ms
		valid++
	}
	a.n.Store(valid)
	a.winN = 0
	// If fewer are lost, a crash cut off the last entry.
	if lost := info.Size() - valid*arrivalBytes; lost >= arrivalBytes {
		problem = fmt.Sprintf("%d bytes of its index of arrivals are invalid", lost) + consequence
	}
	return a, problem, nil
}

const consequence = ": lines without a time of their own get an earlier one, and bytes may be missing at the end unnoticed"

const maxTime = 1 << 47 // ms, in the year 6429: a larger number is not a time

// latest returns the offset of the last entry. When that was written, at least that many bytes had
// been seen or were about to be.
func (a *arrivals) latest() int64 {
	if n := a.n.Load(); n > 0 {
		if e, ok := a.entry(n - 1); ok {
			return e.off
		}
	}
	return 0
}

// note records that bytes from off on arrive now. Only one goroutine at a time may call it. If the
// disk is too full for the entry, these bytes count as having arrived with those before them. If
// writing fails in another way, the index goes on in memory.
func (a *arrivals) note(off, now int64) {
	if since := now - a.last; since >= 0 && since < arrivalEvery && a.n.Load() > 0 {
		return
	}
	a.put(off, now)
}

func (a *arrivals) put(off, now int64) {
	if off < a.lastOff { // offsets only increase: a lower one adds nothing
		return
	}
	var b [arrivalBytes]byte
	binary.LittleEndian.PutUint64(b[:], uint64(off))
	binary.LittleEndian.PutUint64(b[8:], uint64(now))
	n := a.n.Load()
	if err := a.write(b[:], n); err != nil {
		return
	}
	a.last, a.lastOff = now, off
	a.n.Store(n + 1)
}

// write writes the n-th entry.
func (a *arrivals) write(b []byte, n int64) error {
	mem := a.memory.Load()
	if mem == nil {
		_, err := a.f.WriteAt(b, n*arrivalBytes)
		if err == nil || !disk.HasMemfds || !disk.Failed(err) {
			return err
		}
		st := newMemoryStore()
		f, merr := st.create(arrivalsName)
		if merr != nil {
			return err
		}
		_ = st.drop() // f keeps the file alive
		mem = &memoryEntries{n, f}
		a.memory.Store(mem)
	}
	_, err := mem.f.WriteAt(b, (n-mem.base)*arrivalBytes)
	return err
}

// at returns the time of the last entry at or before off.
func (a *arrivals) at(off int64) int64 {
	if off < a.now.off { // only a caller that starts over goes back
		a.seek(off)
	}
	for a.next < a.n.Load() {
		e, ok := a.entry(a.next)
		if !ok || e.off > off {
			break
		}
		if e.ms > 0 { // not a hole
			a.now = e
		}
		a.next++
	}
	return a.now.ms
}

// seek sets now to the last entry at or before off, by binary search.
func (a *arrivals) seek(off int64) {
	i := a.after(off)
	a.now, a.next = arrival{0, a.start}, i
	if i > 0 {
		if e, ok := a.entry(i - 1); ok && e.ms > 0 {
			a.now = e
		}
	}
}

// after returns the index of the first entry beyond off.
func (a *arrivals) after(off int64) int64 {
	lo, hi := int64(0), a.n.Load()
	for lo < hi {
		mid := (lo + hi) / 2
		if e, ok := a.entry(mid); ok && e.off <= off {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// entry returns the entry with index i. It reads through a window, so ascending offsets cost one
// pread per 256 entries.
func (a *arrivals) entry(i int64) (arrival, bool) {
	if i < a.winFrom || i >= a.winFrom+a.winN {
		f, base, end := a.f, int64(0), a.n.Load()
		if mem := a.memory.Load(); mem != nil && i >= mem.base {
			f, base = mem.f, mem.base
		} else if mem != nil {
			end = mem.base
		}
		n, _ := f.ReadAt(a.window[:], (i-base)*arrivalBytes)
		a.winFrom, a.winN = i, min(int64(n)/arrivalBytes, end-i)
		if a.winN <= 0 {
			a.winN = 0
			return arrival{}, false
		}
	}
	b := a.window[(i-a.winFrom)*arrivalBytes:]
	return arrival{int64(binary.LittleEndian.Uint64(b)), int64(binary.LittleEndian.Uint64(b[8:]))}, true
}

// free gives back the entries that nobody needs once everything before off is acked, if the file
// system can punch holes.
func (a *arrivals) free(off int64) {
	if a.noPunch || a.next*arrivalBytes < a.punched+arrivalFree {
		return
	}
	i := a.after(off) - 1 // the entry that applies to off stays
	to := i * arrivalBytes / arrivalFree * arrivalFree
	if to <= a.punched {
		return
	}
	err := error(nil)
	if mem := a.memory.Load(); mem == nil {
		err = disk.Punch(a.f, a.punched, to-a.punched)
	} else if to > mem.base*arrivalBytes {
		err = disk.Punch(mem.f, 0, to-mem.base*arrivalBytes)
	}
	if err != nil {
		a.noPunch = true
		return
	}
	a.punched = to
}

func (a *arrivals) sync() error { return a.f.Sync() }

func (a *arrivals) close() error {
	if mem := a.memory.Load(); mem != nil {
		mem.f.Close()
	}
	if err := a.f.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
