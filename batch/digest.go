package batch

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"hash"
)

// digest hashes an input twice, and pays once as long as both are the same. Of a block that is not
// small it hashes ahead what is likely to be shaped, all whole lines as they are, beside the
// shaping: that is a fourth of what a block costs.
type digest struct {
	lines hash.Hash
	raw   hash.Hash // nil: as lines

	// The block at hand is hashed up to hashedTo. What was shaped after that was shipped as it was
	// read, and is hashed in one go.
	block    []byte
	hashedTo int

	ahead  int           // so many bytes of the block at hand are being hashed to spare; 0: none
	spare  hash.Hash     // lines' successor, if just these are shaped
	hashed chan struct{} // has room for one
	copied []byte        // scratch
}

// besideBytes is the least that is worth a goroutine: hashing it takes some ten times what that
// costs.
const besideBytes = 32 << 10

func restoreDigest(d Digested) (digest, error) {
	out := digest{spare: sha256.New(), hashed: make(chan struct{}, 1)}
	for _, h := range []struct {
		state []byte
		into  *hash.Hash
	}{{d.Lines, &out.lines}, {d.Raw, &out.raw}} {
		if len(h.state) == 0 {
			continue
		}
		*h.into = sha256.New()
		if err := (*h.into).(encoding.BinaryUnmarshaler).UnmarshalBinary(h.state); err != nil {
			return digest{}, err
		}
	}
	if out.lines == nil {
		out.lines = sha256.New()
	}
	return out, nil
}

// begin starts on a block, the first known bytes of which hold no newline. Until end its bytes must
// stay as they are.
func (d *digest) begin(block []byte, known int) {
	d.block, d.hashedTo = block, 0
	if len(block) < besideBytes || d.raw != nil {
		return
	}
	n := known + bytes.LastIndexByte(block[known:], '\n') + 1
	if n == known || n < besideBytes {
		return
	}
	d.copied = appendHash(d.copied[:0], d.lines)
	if err := d.spare.(encoding.BinaryUnmarshaler).UnmarshalBinary(d.copied); err != nil { // it is its own state
		panic(err)
	}
	d.ahead = n
	go func() {
		d.spare.Write(block[:n])
		d.hashed <- struct{}{}
	}()
}

// end finishes the block, of which block[:done] was shaped.
func (d *digest) end(done int) {
	n := d.ahead
	if n > 0 {
		<-d.hashed
		d.ahead = 0
	}
	if n > 0 && d.hashedTo == 0 && done == n {
		d.lines, d.spare = d.spare, d.lines
	} else {
		d.same(d.block[d.hashedTo:done])
	}
	d.block = nil
}

// same adds bytes that were shipped as they were read.
func (d *digest) same(p []byte) {
	d.lines.Write(p)
	if d.raw != nil {
		d.raw.Write(p)
	}
}

// differ hashes what was shipped as it was read up to block[from], and adds block[from:to] to the
// raw digest alone. The caller writes to d.lines what was shipped in the place of block[from:to].
func (d *digest) differ(from, to int) {
	d.same(d.block[d.hashedTo:from])
	if d.raw == nil {
		clone, err := d.lines.(hash.Cloner).Clone()
		if err != nil { // SHA-256 clones without fail
			panic(err)
		}
		d.raw = clone
	}
	d.raw.Write(d.block[from:to])
	d.hashedTo = to
}

func (d *digest) state() Digested {
	out := Digested{Lines: appendHash(nil, d.lines)}
	if d.raw != nil {
		out.Raw = appendHash(nil, d.raw)
	}
	return out
}

func appendHash(b []byte, h hash.Hash) []byte {
	state, err := h.(encoding.BinaryAppender).AppendBinary(b)
	if err != nil { // SHA-256 gives its state without fail
		panic(err)
	}
	return state
}

// Sums returns the SHA-256 over the shipped lines and, where it differs (else nil), over the input
// as it was read.
func (d Digested) Sums() (lines, raw []byte, err error) {
	live, err := restoreDigest(d)
	if err != nil {
		return nil, nil, err
	}
	if live.raw != nil {
		raw = live.raw.Sum(nil)
	}
	return live.lines.Sum(nil), raw, nil
}
