package journal

// Ids of inputs: 8 characters [a-z0-9], 41 bits.

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"time"
)

const idChars = 8

// NewID makes an id from the time and chance.
func NewID() string {
	var seed [24]byte
	rand.Read(seed[:16]) // never fails: crypto/rand
	binary.LittleEndian.PutUint64(seed[16:], uint64(time.Now().UnixNano()))
	return idOf(sha256.Sum256(fmt.Appendf(seed[:], "%d", os.Getpid())))
}

func idOf(sum [sha256.Size]byte) string {
	const digits = "abcdefghijklmnopqrstuvwxyz0123456789"
	n := binary.LittleEndian.Uint64(sum[:])
	var id [idChars]byte
	for i := range id {
		id[i] = digits[n%36]
		n /= 36
	}
	return string(id[:])
}
