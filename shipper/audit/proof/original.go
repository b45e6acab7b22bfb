package proof

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
	"slices"
	"unicode/utf8"

	"perstack-shipper/shipper/readback"
)

// This file compares what CloudWatch holds with files that hold what the agent wrote.

// original is such a file. It may hold several inputs, one after the other, as the output of an
// agent that was started again does.
type original struct {
	name string
	path string // what can be opened again
	raw  string // its digest
	used bool
	// reserved says that some input's seal has this digest: no other input may take the file for
	// its beginning.
	reserved bool

	file *os.File
	r    *bufio.Reader
	hash hash.Hash // of what was read of it for the input at hand
	seq  int64     // of the last line of the input at hand that was read
	ends bool      // that line had no newline

	differs []int64 // the first of the lines that differ
	more    int64   // how many more there are
	short   int64   // the first line that it does not hold any more; 0: it holds all
	why     []string
	sum     string // of the input, once that has ended

	repaired []byte // scratch
}

type originals struct {
	files []*original
	temp  []string // files to remove
}

// openOriginals looks at the files, and computes their digests. What can be read only once is
// copied.
func openOriginals(names []string) (*originals, error) {
	var all originals
	for _, name := range names {
		o, err := all.open(name)
		if err != nil {
			all.close()
			return nil, fmt.Errorf("the original: %w", err)
		}
		all.files = append(all.files, o)
	}
	return &all, nil
}

func (all *originals) open(name string) (*original, error) {
	o := &original{name: name, path: name}
	in := os.Stdin
	if name == "-" {
		o.name = "stdin"
	} else {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in = file
	}
	var into io.Writer = io.Discard
	info, err := in.Stat()
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, fmt.Errorf("%s is a folder: name the file in it", name)
	}
	if name == "-" || !info.Mode().IsRegular() {
		temp, err := os.CreateTemp("", "perstack-shipper-verify-") // 0600
		if err != nil {
			return nil, err
		}
		defer temp.Close()
		all.temp = append(all.temp, temp.Name())
		o.path, into = temp.Name(), temp
	}
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(sum, into), in); err != nil {
		return nil, err
	}
	o.raw = hex.EncodeToString(sum.Sum(nil))
	return o, nil
}

func (all *originals) close() {
	for _, o := range all.files {
		if o.file != nil {
			o.file.Close() // it was only read
		}
	}
	for _, name := range all.temp {
		os.Remove(name)
	}
}

// rawSum is the digest of an input as it was read.
func rawSum(seal *readback.Seal) string {
	if seal.RawSHA256 != "" {
		return seal.RawSHA256
	}
	return seal.SHA256
}

// reserve keeps the files with these digests for the inputs whose seals say them.
func (all *originals) reserve(sums []string) {
	for _, o := range all.files {
		o.reserved = slices.Contains(sums, o.raw)
	}
}

// of returns the file that holds an input, of which l is the first line that is there (nil: none
// is), or nil. That is the one whose digest is in the seal, else the one that goes on with that
// line, else one that begins with it, else the only one.
func (all *originals) of(in *readback.Input, l *readback.Line) (*original, error) {
	if len(all.files) == 0 {
		return nil, nil
	}
	if seal := in.Seal; seal != nil {
		for _, o := range all.files {
			if !o.used && o.raw == rawSum(seal) {
				return o, o.begin()
			}
		}
	}
	if l != nil {
		var head bytes.Buffer
		if _, err := l.WriteTo(&limited{&head, headBytes}); err != nil && err != errEnough {
			return nil, err
		}
		for _, o := range all.files {
			if !o.used {
				continue
			}
			if is, err := o.goesOn(l, head.Bytes()); is || err != nil {
				if err == nil {
					err = o.begin()
				}
				return o, err
			}
		}
		for _, o := range all.files {
			if o.used || o.reserved {
				continue
			}
			probe := original{path: o.path}
			err := probe.begin()
			is := false
			if err == nil {
				is, err = probe.goesOn(l, head.Bytes())
				probe.file.Close()
			}
			if err != nil {
				return nil, err
			}
			if is {
				return o, o.begin()
			}
		}
	}
	if o := all.files[0]; len(all.files) == 1 && !o.used && sourceOf(in) != "stderr" {
		return o, o.begin()
	}
	return nil, nil
}

// left returns a sentence for each file that is not all in CloudWatch.
func (all *originals) left() []string {
	var why []string
	for _, o := range all.files {
		if !o.used {
			why = append(why, fmt.Sprintf("%s is none of the inputs that were read", o.name))
			continue
		}
		n, err := io.Copy(io.Discard, o.r)
		switch {
		case err != nil:
			why = append(why, fmt.Sprintf("%s cannot be read: %v", o.name, err))
		case n > 0:
			why = append(why, fmt.Sprintf("%s goes on for %s that are not in CloudWatch", o.name, count(n, "byte", "bytes")))
		}
	}
	return why
}

// headBytes is how much of a line tells it from others.
const headBytes = 4 << 10

// limited takes so many bytes.
type limited struct {
	w    io.Writer
	left int
}

var errEnough = fmt.Errorf("enough was written")

func (l *limited) Write(b []byte) (int, error) {
	n, err := l.w.Write(b[:min(len(b), l.left)])
	if l.left -= n; err == nil && l.left == 0 {
		err = errEnough
	}
	return n, err
}

// begin makes o ready for an input: it is opened, or goes on where the last input ended.
func (o *original) begin() error {
	o.hash, o.seq, o.ends = sha256.New(), 0, false
	o.differs, o.more, o.short, o.why = nil, 0, 0, nil
	if o.used {
		return nil
	}
	o.used = true
	file, err := os.Open(o.path)
	if err != nil {
		return fmt.Errorf("the original: %w", err)
	}
	o.file, o.r = file, bufio.NewReaderSize(file, 64<<10)
	return nil
}

// goesOn reports whether o goes on with the input whose first line that is there is l, which begins
// with head.
func (o *original) goesOn(l *readback.Line, head []byte) (bool, error) {
	if l.Seq > 1 {
		if o.path == "" || o.seq > 0 {
			return false, nil // what comes next is not known
		}
		if err := o.skip(l.Seq - 1); err != nil {
			return false, err
		}
	}
	for n := 1; ; n++ { // past empty lines
		next, err := o.r.Peek(n)
		if err != nil || n > headBytes {
			return false, ignoreEOF(err)
		}
		if next[n-1] == '\n' {
			continue
		}
		next, err = o.r.Peek(min(n-1+len(head), o.r.Size()))
		if err != nil && err != io.EOF {
			return false, err
		}
		next = next[n-1:]
		if l.Lossy {
			next = bytes.ToValidUTF8(next, []byte("\uFFFD"))
			n := min(len(next), len(head), 64)
			return bytes.Equal(next[:n], head[:n]), nil
		}
		return bytes.Equal(next, head), nil
	}
}

func ignoreEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// take reads n bytes that were looked at.
func (o *original) take(b []byte) error {
	o.hash.Write(b)
	_, err := o.r.Discard(len(b))
	return err
}

// skip reads n lines that are not empty, with the empty ones before them. At the end of the file it
// stops.
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

// empty reads newlines, and returns how many there were.
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

// rest reads to the end of a line, and its newline. It reports whether there was nothing to read.
func (o *original) rest() (nothing bool, err error) {
	nothing = true
	for {
		b, err := o.r.ReadSlice('\n')
		o.hash.Write(b)
		if len(b) > 0 {
			nothing = false
		}
		switch err {
		case nil:
			o.ends = false
			return nothing, nil
		case io.EOF:
			o.ends = true
			return nothing, nil
		case bufio.ErrBufferFull:
		default:
			return nothing, err
		}
	}
}

// line compares a line.
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
		o.why = append(o.why, fmt.Sprintf("%s ends before line %s", o.name, thousands(l.Seq)))
		return nil
	}
	// Where lines are missing or left out, nothing is known of the empty lines beside them.
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
		// What follows is the next line's, or nothing.
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

// end compares what comes behind the last line, if all of it is known.
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
		if in.Trailing == 0 && seal.EmptyLines > 0 { // what is missing may have been followed by them
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

// differing names the lines that differ.
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
		text += " and " + count(o.more, "more", "more")
	}
	return text + " differ"
}

// comparing compares what is written to it with a line of a file, and reads that on the way, but
// never its newline.
type comparing struct {
	o       *original
	lossy   bool   // bytes of the file that are not UTF-8 count as U+FFFD
	pending []byte // read of the file and repaired, not compared yet
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

// next returns some of what the line has next, at most n bytes where it is not repaired, and
// nothing at its end.
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
