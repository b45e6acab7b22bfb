package proof

// This file finds the file that holds the original of an input. compare.go compares the two.

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"slices"

	"perstack-shipper/shipper/quantity"
	"perstack-shipper/shipper/readback"
)

// original is a file with an agent's output. It may hold several inputs, one after the other, if
// the agent was restarted.
type original struct {
	name string
	path string // a copy of name if that can be read only once
	raw  string // digest of the whole file
	used bool   // it was opened for some input
	// reserved is set if the seal of some input has the digest raw. Then the file is not given to
	// any other input.
	reserved bool

	file *os.File
	r    *bufio.Reader
	hash hash.Hash // of the bytes read for the current input
	seq  int64     // the last line of the current input that was read

	differs []int64 // the first lines that differ
	more    int64   // number of further lines that differ
	short   int64   // the first line that is past the end of the file, or 0
	why     []string
	sum     string // digest of the input, once it has ended

	repaired []byte // scratch
}

type originals struct {
	files []*original
	temp  []string // copies to remove
}

// openOriginals opens the files and computes their digests. It copies those that can be read only
// once.
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
			o.file.Close() // an error loses nothing: the file was only read
		}
	}
	for _, name := range all.temp {
		os.Remove(name)
	}
}

// rawSum returns the digest of an input as it was read.
func rawSum(seal *readback.Seal) string {
	if seal.RawSHA256 != "" {
		return seal.RawSHA256
	}
	return seal.SHA256
}

// reserve keeps the files with these digests for the inputs whose seals have them.
func (all *originals) reserve(sums []string) {
	for _, o := range all.files {
		o.reserved = slices.Contains(sums, o.raw)
	}
}

// of returns the file that holds an input, or nil. l is the first line of the input that was read,
// or nil if there is none. The candidates are, in this order: the file whose digest is in the seal,
// a file that continues with l, a file that begins with l, and the only file.
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
			if is, err := o.continuesWith(l, head.Bytes()); is || err != nil {
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
				is, err = probe.continuesWith(l, head.Bytes())
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

// left returns a sentence for each file that CloudWatch does not hold completely.
func (all *originals) left() []string {
	var why []string
	for _, o := range all.files {
		if !o.used {
			why = append(why, fmt.Sprintf("%s matches none of the inputs that were read", o.name))
			continue
		}
		n, err := io.Copy(io.Discard, o.r)
		switch {
		case err != nil:
			why = append(why, fmt.Sprintf("%s cannot be read: %v", o.name, err))
		case n > 0:
			why = append(why, fmt.Sprintf("%s continues with %s not in CloudWatch", o.name, quantity.Count(n, "byte that is", "bytes that are")))
		}
	}
	return why
}

// headBytes is how many bytes of a line are enough to recognize it.
const headBytes = 4 << 10

// limited is a writer that fails with errEnough after left bytes.
type limited struct {
	w    io.Writer
	left int
}

var errEnough = errors.New("the limit was reached")

// Write writes at most what is left of the limit, and returns errEnough once nothing is.
func (l *limited) Write(b []byte) (int, error) {
	n, err := l.w.Write(b[:min(len(b), l.left)])
	if l.left -= n; err == nil && l.left == 0 {
		err = errEnough
	}
	return n, err
}

// begin prepares o for an input. It opens the file, or continues where the previous input ended.
func (o *original) begin() error {
	o.hash, o.seq = sha256.New(), 0
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

// continuesWith reports whether the file continues with the input whose first line is l, which
// begins with head.
func (o *original) continuesWith(l *readback.Line, head []byte) (bool, error) {
	if l.Seq > 1 {
		if o.path == "" || o.seq > 0 {
			// Lines are missing, so nothing says where the input begins in the file.
			return false, nil
		}
		if err := o.skip(l.Seq - 1); err != nil {
			return false, err
		}
	}
	for n := 1; ; n++ { // skip empty lines
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
