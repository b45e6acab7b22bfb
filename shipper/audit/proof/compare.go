package proof

// This file compares the lines of an input with its original.

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"unicode/utf8"

	"perstack-shipper/shipper/quantity"
	"perstack-shipper/shipper/readback"
)

// take consumes bytes that were peeked at.
func (o *original) take(b []byte) error {
	o.hash.Write(b)
	_, err := o.r.Discard(len(b))
	return err
}

// skip reads n lines that are not empty, and the empty lines before them. It stops at the end of
// the file.
func (o *original) skip(n int64) error {
	for n > 0 {
		if _, err := o.empty(); err != nil {
			return err
		}
		ended, err := o.rest()
		if err != nil {
			return err
		}
		if ended {
			return nil
		}
		n--
	}
	return nil
}

// empty reads empty lines and returns their number.
func (o *original) empty() (n int64, err error) {
	for {
		b, err := o.r.Peek(1)
		if err != nil || b[0] != '\n' {
			return n, ignoreEOF(err)
		}
		if err := o.take(b); err != nil {
			return n, err
		}
		n++
	}
}

// rest reads the rest of a line and its newline. It reports whether there was nothing to read.
func (o *original) rest() (nothing bool, err error) {
	nothing = true
	for {
		b, err := o.r.ReadSlice('\n')
		o.hash.Write(b)
		if len(b) > 0 {
			nothing = false
		}
		switch err {
		case nil, io.EOF:
			return nothing, nil
		case bufio.ErrBufferFull:
		default:
			return nothing, err
		}
	}
}

// line compares a line with the next line of the file.
func (o *original) line(l *readback.Line) error {
	if o.short > 0 {
		return nil
	}
	if err := o.skip(l.Seq - o.seq - 1); err != nil {
		return err
	}
	gap := l.Seq > o.seq+1
	o.seq = l.Seq
	empty, err := o.empty()
	if err != nil {
		return err
	}
	if _, err := o.r.Peek(1); err == io.EOF {
		o.short = l.Seq
		o.why = append(o.why, fmt.Sprintf("%s ends before line %s", o.name, quantity.Number(l.Seq)))
		return nil
	}
	// If the lines before it are missing or excluded, the number of empty lines next to them is
	// unknown.
	same := empty == l.Empty || gap
	if l.Redacted > 0 {
		_, err = o.rest()
		return err
	}
	c := comparing{o: o, lossy: l.Lossy, same: true}
	if _, err := l.WriteTo(&c); err != nil {
		return err
	}
	switch next, err := o.r.Peek(1); {
	case err != nil && err != io.EOF:
		return err
	case c.same && l.NoNewline:
		// The next line continues here, or the file ends.
	case c.same && err == nil && next[0] == '\n':
		if err := o.take(next); err != nil {
			return err
		}
	default:
		c.same = false
		if _, err := o.rest(); err != nil {
			return err
		}
	}
	if !same || !c.same {
		if len(o.differs) < maxNamed {
			o.differs = append(o.differs, l.Seq)
		} else {
			o.more++
		}
	}
	return nil
}

// end reads what follows the last line of the input, if known says that its lines are known up to
// the end.
func (o *original) end(in *readback.Input, known bool) error {
	if seal := in.Seal; seal != nil && known && o.short == 0 {
		if err := o.skip(seal.LastSeq - o.seq); err != nil {
			return err
		}
		for n := in.Trailing; n > 0; n-- {
			b, err := o.r.Peek(1)
			if err != nil || b[0] != '\n' {
				break
			}
			if err := o.take(b); err != nil {
				return err
			}
		}
		if in.Trailing == 0 && seal.EmptyLines > 0 { // they may have followed missing lines
			if len(seal.Rejected)+len(seal.Excluded) > 0 || in.LastSeq < seal.LastSeq {
				if _, err := o.empty(); err != nil {
					return err
				}
			}
		}
	}
	o.sum = hex.EncodeToString(o.hash.Sum(nil))
	return nil
}

// differing lists the lines that differ.
func (o *original) differing() string {
	ranges := [][2]int64{}
	for _, seq := range o.differs {
		ranges = join(ranges, seq, seq)
	}
	if len(o.differs) == 1 && o.more == 0 {
		return "line " + rangesText(ranges) + " differs"
	}
	text := "lines " + rangesText(ranges)
	if o.more > 0 {
		text += " and " + quantity.Count(o.more, "more", "more")
	}
	return text + " differ"
}

// comparing is a writer that compares what is written to it with a line of a file. It consumes the
// line as far as it is equal, without its newline.
type comparing struct {
	o       *original
	lossy   bool   // read bytes that are not UTF-8 as U+FFFD
	pending []byte // repaired bytes of the file that were not compared yet
	same    bool
}

// Write implements io.Writer.
func (c *comparing) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 && c.same {
		next, err := c.next(len(b))
		if err != nil {
			return 0, err
		}
		some := min(len(next), len(b))
		if some == 0 || !bytes.Equal(next[:some], b[:some]) {
			c.same = false
			break
		}
		if c.lossy {
			c.pending = c.pending[some:]
		} else if err := c.o.take(next[:some]); err != nil {
			return 0, err
		}
		b = b[some:]
	}
	return n, nil
}

// next returns the next bytes of the line, or nothing at its end. If the line is not lossy, it
// returns at most n bytes.
func (c *comparing) next(n int) ([]byte, error) {
	r := c.o.r
	if !c.lossy {
		if _, err := r.Peek(1); err != nil {
			return nil, ignoreEOF(err)
		}
		some, err := r.Peek(min(n, max(r.Buffered(), 1)))
		if i := bytes.IndexByte(some, '\n'); i >= 0 {
			some = some[:i]
		}
		return some, ignoreEOF(err)
	}
	if len(c.pending) > 0 {
		return c.pending, nil
	}
	some, err := r.Peek(utf8.UTFMax)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if len(some) == 0 || some[0] == '\n' {
		return nil, nil
	}
	rn, size := utf8.DecodeRune(some)
	c.o.repaired = utf8.AppendRune(c.o.repaired[:0], rn)
	c.pending = c.o.repaired
	return c.pending, c.o.take(some[:size])
}
