package journal

// This file keeps the two files of the cursor. They are written alternately and in place, and their
// blocks are allocated when they are made. So a torn write leaves the other file valid, writing
// works on a full disk, and an ack costs one pwrite and no rename.
//
// A file begins with one line of text and the caller's state. After that come the remains of older,
// longer writes:
//
//	cursor 1 <generation> <offset> <mark> <bytes of state> <CRC-32C of all but itself>

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/bits"
	"os"
	"strconv"
)

// MaxStateBytes limits Cursor.State, so that a corrupt length cannot make a start allocate any
// amount of memory.
const MaxStateBytes = 4 << 20

const (
	cursorMagic = "cursor 1 "
	cursorHead  = len(cursorMagic) + 16 + 1 + offsetDigits + 1 + 8 + 1 + 8 + 1 + 8 + 1

	// cursorRoom is the size of a new cursor file. When more than half of it is used, it doubles.
	cursorRoom = 16 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type cursorFiles struct {
	f    [2]*os.File
	room [2]int64
	gen  uint64 // generation of the newest valid file, which is f[gen%2]
	mark uint32 // mark of the cursor that openCursor found
	buf  []byte // reused by put
}

// cursorRecord is a cursor as found in a file.
type cursorRecord struct {
	Cursor
	gen  uint64
	mark uint32
}

// createCursor makes both files and writes the zero cursor to one: a folder without a valid cursor
// is damaged.
func createCursor(st store) (*cursorFiles, error) {
	c := &cursorFiles{}
	for i, name := range cursorNames {
		f, err := st.create(name)
		if err != nil {
			c.close()
			return nil, err
		}
		c.f[i] = f
		if err := c.grow(i, cursorRoom); err != nil {
			c.close()
			return nil, err
		}
	}
	if err := c.put(Cursor{}, 0); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// openCursor opens both files and finds the newest valid cursor. ok is false if there is none. It
// makes missing files again.
func openCursor(st store) (c *cursorFiles, newest cursorRecord, ok bool, err error) {
	c = &cursorFiles{}
	for i, name := range cursorNames {
		f, err := st.open(name, true)
		if os.IsNotExist(err) {
			f, err = st.create(name)
		}
		if err != nil {
			c.close()
			return nil, cursorRecord{}, false, err
		}
		c.f[i] = f
		if info, err := f.Stat(); err == nil {
			c.room[i] = info.Size()
		}
		if k, valid := readCursor(f); valid && (!ok || k.gen > newest.gen) {
			newest, ok = k, true
		}
	}
	c.gen = newest.gen
	for i := range c.f {
		// Growing is best effort: if it fails, a full disk may stop the cursor but does not lose
		// it.
		if c.room[i] < cursorRoom {
			_ = c.grow(i, cursorRoom)
		}
	}
	return c, newest, ok, nil
}

// peekCursor reads the newest valid cursor of an input that this process need not hold.
func peekCursor(st store) (newest cursorRecord, ok bool) {
	for _, name := range cursorNames {
		f, err := st.open(name, false)
		if err != nil {
			continue
		}
		if k, valid := readCursor(f); valid && (!ok || k.gen > newest.gen) {
			newest, ok = k, true
		}
		f.Close()
	}
	return newest, ok
}

// put writes the next generation to the file with the older cursor. If that fails, the next put
// writes the same file again, so the newest valid cursor is never at risk.
func (c *cursorFiles) put(cur Cursor, mark uint32) error {
	if len(cur.State) > MaxStateBytes {
		return fmt.Errorf("a cursor's state of %d bytes is over %d", len(cur.State), MaxStateBytes)
	}
	gen := c.gen + 1
	b := append(c.buf[:0], cursorMagic...)
	b = appendHex(b, gen, 16)
	b = append(b, ' ')
	b = appendDecimal(b, cur.Offset)
	b = append(b, ' ')
	b = appendHex(b, uint64(mark), 8)
	b = append(b, ' ')
	b = appendHex(b, uint64(len(cur.State)), 8)
	b = append(b, ' ')
	sum := crc32.Update(crc32.Checksum(b, castagnoli), castagnoli, cur.State)
	b = appendHex(b, uint64(sum), 8)
	b = append(b, '\n')
	b = append(b, cur.State...)
	c.buf = b

	i := int(gen % 2)
	if need := int64(len(b)); need > c.room[i]/2 {
		if err := c.grow(i, 2<<bits.Len64(uint64(need))); err != nil && need > c.room[i] {
			return err
		}
	}
	if _, err := c.f[i].WriteAt(b, 0); err != nil {
		return err
	}
	c.gen = gen
	return nil
}

// grow fills a file with zeros up to room. It writes them, because fallocate does not work on every
// file system.
func (c *cursorFiles) grow(i int, room int64) error {
	if _, err := c.f[i].WriteAt(make([]byte, room-c.room[i]), c.room[i]); err != nil {
		return err
	}
	c.room[i] = room
	return nil
}

func readCursor(f *os.File) (cursorRecord, bool) {
	var head [cursorHead]byte
	if _, err := f.ReadAt(head[:], 0); err != nil {
		return cursorRecord{}, false
	}
	k, size, sum, ok := parseHead(head[:])
	if !ok {
		return cursorRecord{}, false
	}
	state := make([]byte, size)
	if n, err := f.ReadAt(state, int64(cursorHead)); n < size || err != nil && !errors.Is(err, io.EOF) {
		return cursorRecord{}, false
	}
	if crc32.Update(crc32.Checksum(head[:cursorHead-9], castagnoli), castagnoli, state) != sum {
		return cursorRecord{}, false
	}
	if size > 0 {
		k.State = state
	}
	return k, true
}

func parseHead(h []byte) (k cursorRecord, size int, sum uint32, ok bool) {
	if string(h[:len(cursorMagic)]) != cursorMagic || h[len(h)-1] != '\n' {
		return cursorRecord{}, 0, 0, false
	}
	at := len(cursorMagic)
	number := func(digits, base, size int) (n uint64) {
		n, err := strconv.ParseUint(string(h[at:at+digits]), base, size)
		ok = ok && err == nil && (h[at+digits] == ' ' || h[at+digits] == '\n')
		at += digits + 1
		return n
	}
	ok = true
	k.gen = number(16, 16, 64)
	k.Offset = int64(number(offsetDigits, 10, 63))
	k.mark = uint32(number(8, 16, 32))
	size = int(number(8, 16, 32))
	sum = uint32(number(8, 16, 32))
	return k, size, sum, ok && size <= MaxStateBytes
}

func (c *cursorFiles) sync() error { return errors.Join(c.f[0].Sync(), c.f[1].Sync()) }

func (c *cursorFiles) close() error {
	var errs []error
	for _, f := range c.f {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// appendHex appends n with a fixed number of digits. Like appendDecimal it does not allocate,
// because acks are on the hot path.
func appendHex(b []byte, n uint64, digits int) []byte {
	const hex = "0123456789abcdef"
	for shift := (digits - 1) * 4; shift >= 0; shift -= 4 {
		b = append(b, hex[n>>shift&15])
	}
	return b
}

func appendDecimal(b []byte, n int64) []byte {
	start := len(b)
	b = append(b, "00000000000000000000"[:offsetDigits]...)
	for i := len(b) - 1; n > 0 && i >= start; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
	return b
}
