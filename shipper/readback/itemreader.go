package readback

// This file reads sorted items back from memory or disk, and defines how they are stored there.

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"io"
	"slices"
)

// itemReader reads sorted items from memory or from a run.
type itemReader struct {
	head  item // the current item after next, unless done
	done  bool
	order int // among the readers of a merge

	// If the items are in memory:
	items []item // the items after head
	bytes []byte

	// If the items are in a run:
	r    *bufio.Reader // stands behind the header of head and the bytes that were copied
	left int           // bytes of head that were not copied yet
}

// next makes head the next item, or sets done.

func (c *itemReader) next() error {
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

// copy writes the bytes of head to w. It may be called once per item.
func (c *itemReader) copy(w io.Writer) error {
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

// body returns the bytes of head, which are its details and its line. They are valid until next is
// called. It may be called once per item, and reads bytes that exceed the reader's buffer into
// scratch.
func (c *itemReader) body(scratch *[]byte) (details, line []byte, err error) {
	it := &c.head
	var all []byte
	switch {
	case c.r == nil:
		all = c.bytes[it.at : it.at+it.size]
	case it.size <= readBuffer:
		if all, err = c.r.Peek(it.size); err != nil {
			return nil, nil, err
		}
	default:
		*scratch = slices.Grow((*scratch)[:0], it.size)[:it.size]
		if _, err := io.ReadFull(c.r, *scratch); err != nil {
			return nil, nil, err
		}
		c.left, all = 0, *scratch
	}
	return all[:it.details], all[it.details:], nil
}

// byHead is a heap of readers, ordered by their current items.
type byHead []*itemReader

func (h byHead) Len() int      { return len(h) }
func (h byHead) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *byHead) Push(c any)   { *h = append(*h, c.(*itemReader)) }
func (h *byHead) Pop() any {
	last := len(*h) - 1
	c := (*h)[last]
	*h = (*h)[:last]
	return c
}
func (h byHead) Less(i, j int) bool {
	return cmp.Or(h[i].head.compare(h[j].head.key), cmp.Compare(h[i].order, h[j].order)) < 0
}

// headerSize is the size of the header in front of each item's own bytes in a run.
const headerSize = 4 + 8 + 4 + 8 + 8 + 4 + 4 + 4 + 1

const (
	flagLast = 1 << iota
	flagNoNewline
	flagText
	flagLossy
	flagNameless
	flagOther
	flagMuted
)

func (it *item) appendHeader(b []byte) []byte {
	order := binary.LittleEndian
	b = order.AppendUint32(b, uint32(it.input))
	b = order.AppendUint64(b, uint64(it.seq))
	b = order.AppendUint32(b, uint32(it.part))
	b = order.AppendUint64(b, uint64(it.empty))
	b = order.AppendUint64(b, uint64(it.excluded))
	b = order.AppendUint32(b, it.sum)
	b = order.AppendUint32(b, uint32(it.size))
	b = order.AppendUint32(b, uint32(it.details))
	flags := byte(0)
	for _, f := range []struct {
		is   bool
		flag byte
	}{
		{it.last, flagLast}, {it.noNewline, flagNoNewline}, {it.text, flagText}, {it.lossy, flagLossy},
		{it.nameless, flagNameless}, {it.other, flagOther}, {it.muted, flagMuted},
	} {
		if f.is {
			flags |= f.flag
		}
	}
	return append(b, flags)
}

func decode(b []byte) item {
	order, flags := binary.LittleEndian, b[headerSize-1]
	return item{
		key:       key{int32(order.Uint32(b)), int64(order.Uint64(b[4:])), int32(order.Uint32(b[12:]))},
		empty:     int64(order.Uint64(b[16:])),
		excluded:  int64(order.Uint64(b[24:])),
		sum:       order.Uint32(b[32:]),
		size:      int(order.Uint32(b[36:])),
		details:   int(order.Uint32(b[40:])),
		last:      flags&flagLast != 0,
		noNewline: flags&flagNoNewline != 0,
		text:      flags&flagText != 0,
		lossy:     flags&flagLossy != 0,
		nameless:  flags&flagNameless != 0,
		other:     flags&flagOther != 0,
		muted:     flags&flagMuted != 0,
	}
}
