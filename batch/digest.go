package batch

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"hash"
)

// digest hashes the lines as shipped and the input as read, and hashes only once as long as the two
// are the same. For a block that is not small, a goroutine hashes ahead while the block is being
// shaped. It assumes that all complete lines will be shipped unchanged. Hashing is a quarter of the
// cost of a block.
type digest struct {
	lines hash.Hash
	raw   hash.Hash // nil: the same as lines

	// The current block is hashed up to hashedTo. The lines shaped since then were shipped as read,
	// and are hashed in one go.
	block    []byte
	hashedTo int

	ahead  int           // how many bytes of the current block are being hashed into spare; 0: none
	spare  hash.Hash     // replaces lines if exactly these bytes are shipped
	hashed chan struct{} // has a buffer of one
	copied []byte        // scratch
}

// besideBytes is the smallest block that is worth a goroutine. Hashing that much takes about ten
// times as long as starting one.
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

// begin starts on a block. Its first known bytes hold no newline. The block must not change until
// end.
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
	// The state comes from appendHash, so this does not fail.
	if err := d.spare.(encoding.BinaryUnmarshaler).UnmarshalBinary(d.copied); err != nil {
		panic(err)
	}
	d.ahead = n
	go func() {
		d.spare.Write(block[:n])
		d.hashed <- struct{}{}
	}()
}

// end finishes the block. block[:done] was shaped.
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

// same adds bytes that were shipped as read.
func (d *digest) same(p []byte) {
	d.lines.Write(p)
	if d.raw != nil {
		d.raw.Write(p)
	}
}

// differ hashes the bytes before block[from], which were shipped as read, and adds block[from:to]
// to the raw digest alone. The caller then writes to d.lines what was shipped instead of
// block[from:to].
func (d *digest) differ(from, to int) {
	d.same(d.block[d.hashedTo:from])
	if d.raw == nil {
		clone, err := d.lines.(hash.Cloner).Clone()
		if err != nil { // cloning a SHA-256 does not fail
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
	if err != nil { // marshaling a SHA-256 does not fail
		panic(err)
	}
	return state
}

// Sums returns the SHA-256 of the lines as shipped, and the SHA-256 of the input as read, or nil if
// that is the same.
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
