package journal

// Ids of inputs: 8 characters [a-z0-9], 41 bits.

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
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

// idLineBytes is how much of a first line makes the id. Otherwise a first line as long as a block
// would hold up the start.
const idLineBytes = 64 << 10

// FileID returns the id for following a file: 8 characters from a hash of its absolute path and its
// first line, or the first 64 KiB of a longer one. first is that line's own digest. [ErrNoLine]
// says that the line is not complete yet: wait.
func FileID(path string) (id, first string, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return "", "", fmt.Errorf("the id of %s: %w", path, err)
	}
	f, _, err := openFollowed(path)
	if err != nil {
		return "", "", err
	}
	defer f.Close()
	line, err := firstLine(f)
	if err != nil {
		return "", "", fmt.Errorf("the id of %s: %w", path, err)
	}
	return idOf(sha256.Sum256(fmt.Appendf(nil, "%s\x00%s", path, line))), lineDigest(line), nil
}

// FirstLine is the digest of the first line of an open file, as FileID returns it.
func FirstLine(f *os.File) (string, error) {
	line, err := firstLine(f)
	if err != nil {
		return "", fmt.Errorf("the first line of %s: %w", f.Name(), err)
	}
	return lineDigest(line), nil
}

// firstLine reads the first line, without its newline, and of a longer one the first 64 KiB.
func firstLine(f *os.File) ([]byte, error) {
	line, err := io.ReadAll(io.NewSectionReader(f, 0, idLineBytes))
	if err != nil {
		return nil, err
	}
	if end := bytes.IndexByte(line, '\n'); end >= 0 {
		return line[:end], nil
	}
	if len(line) < idLineBytes {
		return nil, ErrNoLine
	}
	return line, nil
}

func lineDigest(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:16])
}
