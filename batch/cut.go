package batch

import "bytes"

// cutter cuts the blocks of an input into lines. A line that is too long to wait for its end is cut
// into pieces.
type cutter struct {
	long  int // lines of at least this length are cut into pieces; MaxLineBytes, except in tests
	piece int // the length of a piece; longStep, except in tests

	block []byte
	pos   int   // how much of block is done
	base  int64 // offset of block in the input
	final bool  // the input ends after block
	// noNewlineBefore is an offset in the input. There is no newline between pos and that offset.
	// It avoids searching a byte twice, although a long line may arrive in a great many small
	// pieces.
	noNewlineBefore int64
}

// cutKind is what a cutter found.
type cutKind int

const (
	// noCut: the rest of the block is not a complete line.
	noCut cutKind = iota
	// emptyLine: just a newline.
	emptyLine
	// wholeLine: a line, or the rest of one, that ends in a newline.
	wholeLine
	// lastLine: a line, or the rest of one, that ends with the input instead of a newline.
	lastLine
	// longPiece: a piece of a line that is too long to wait for its end.
	longPiece
)

// begin starts on the bytes of the input from offset base on.
func (c *cutter) begin(block []byte, base int64, final bool) {
	if base != c.base {
		c.noNewlineBefore = base // the block does not start where the last one ended
	}
	c.block, c.base, c.final, c.pos = block, base, final, 0
}

// end finishes the block and returns how much of it is done.
func (c *cutter) end() int {
	c.base += int64(c.pos)
	c.block = nil
	return c.pos
}

// offset returns the offset in the input of the first byte that is not done.
func (c *cutter) offset() int64 { return c.base + int64(c.pos) }

// next returns the next line or piece of the block, without its newline. inLine says that the
// beginning of the line is done already. The place of a cut must not depend on how much of the line
// has arrived, because after a crash the line is cut again, and the pieces must be the same.
func (c *cutter) next(inLine bool) (raw []byte, what cutKind) {
	rest := c.block[c.pos:]
	if len(rest) == 0 && (!inLine || !c.final) {
		return nil, noCut
	}
	end := c.newline(rest)
	length := end // of the line, as far as the block holds it
	if end < 0 {
		length = len(rest)
	}
	switch {
	case inLine && length >= c.piece, !inLine && length >= c.long:
		return rest[:c.piece], longPiece
	case end == 0 && !inLine:
		return nil, emptyLine
	case end >= 0:
		return rest[:end], wholeLine
	case c.final:
		return rest, lastLine
	}
	return nil, noCut
}

// newline returns the index of the first newline in rest, what is left of the block, or -1.
func (c *cutter) newline(rest []byte) int {
	from := c.offset()
	known := c.known()
	end := bytes.IndexByte(rest[known:], '\n')
	if end < 0 {
		c.noNewlineBefore = from + int64(len(rest))
		return -1
	}
	c.noNewlineBefore = from + int64(known+end)
	return known + end
}

// known returns how much of the rest of the block is known to hold no newline.
func (c *cutter) known() int {
	return int(min(max(c.noNewlineBefore-c.offset(), 0), int64(len(c.block)-c.pos)))
}
