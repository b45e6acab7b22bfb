package readback

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"io"
)

// This file goes through sorted items, in memory or on disk, and says how they lie there.

// cursor goes through sorted items, in memory or in a run.
type cursor struct {
	head  item // where it stands, after next, unless it is done
	done  bool
	order int // among the cursors of a merge

	// In memory.
	items []item // behind head
	bytes []byte

	// In a run.
	r    *bufio.Reader // behind head and those of its bytes that were copied
	left int           // of its bytes
}

func (c *cursor) next() error {
	if c.r == nil {
		if c.done = len(c.items) == 0; !c.done {
			c.head, c.items = c.items[0], c.items[1:]
		}
		return nil
	}
	if _, err := c.r.Discard(c.left); err != nil {
		return err
	}
	c.left = 0
	header, err := c.r.Peek(headerSize)
	if err == io.EOF && len(header) == 0 {
		c.done = true
		return nil
	}
	if err != nil {
		return err
	}
	c.head = decode(header)
	c.left = c.head.size
	_, err = c.r.Discard(headerSize)
	return err
}

// copy writes the bytes of head to w, once.
func (c *cursor) copy(w io.Writer) error {
	if c.r == nil {
		_, err := w.Write(c.bytes[c.head.at : c.head.at+c.head.size])
		return err
	}
	for c.left > 0 {
		some, err := c.r.Peek(min(c.left, readBuffer))
		if err != nil {
			return err
		}
		if _, err := w.Write(some); err != nil {
			return err
		}
		c.left -= len(some)
		if _, err := c.r.Discard(len(some)); err != nil {
			return err
		}
	}
	return nil
}

// byHead is a heap of cursors.
type byHead []*cursor

func (h byHead) Len() int      { return len(h) }
func (h byHead) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *byHead) Push(c any)   { *h = append(*h, c.(*cursor)) }
func (h *byHead) Pop() any {
	last := len(*h) - 1
	c := (*h)[last]
	*h = (*h)[:last]
	return c
}
func (h byHead) Less(i, j int) bool {
	return cmp.Or(h[i].head.compare(h[j].head.key), cmp.Compare(h[i].order, h[j].order)) < 0
}

// In a run an item is headerSize bytes, then its own.
const headerSize = 4 + 8 + 4 + 8 + 4 + 4 + 1

const (
	flagLast = 1 << iota
	flagNoNewline
	flagNameless
	flagMuted
)

func (it *item) appendHeader(b []byte) []byte {
	order := binary.LittleEndian
	b = order.AppendUint32(b, uint32(it.input))
	b = order.AppendUint64(b, uint64(it.seq))
	b = order.AppendUint32(b, uint32(it.part))
	b = order.AppendUint64(b, uint64(it.empty))
	b = order.AppendUint32(b, it.sum)
	b = order.AppendUint32(b, uint32(it.size))
	flags := byte(0)
	if it.last {
		flags |= flagLast
	}
	if it.noNewline {
		flags |= flagNoNewline
	}
	if it.nameless {
		flags |= flagNameless
	}
	if it.muted {
		flags |= flagMuted
	}
	return append(b, flags)
}

func decode(b []byte) item {
	order, flags := binary.LittleEndian, b[headerSize-1]
	return item{
		key:       key{int32(order.Uint32(b)), int64(order.Uint64(b[4:])), int32(order.Uint32(b[12:]))},
		empty:     int64(order.Uint64(b[16:])),
		sum:       order.Uint32(b[24:]),
		size:      int(order.Uint32(b[28:])),
		last:      flags&flagLast != 0,
		noNewline: flags&flagNoNewline != 0,
		nameless:  flags&flagNameless != 0,
		muted:     flags&flagMuted != 0,
	}
}
