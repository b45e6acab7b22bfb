package journal

// This file makes ids of inputs: 8 characters [a-z0-9], which is 41 bits.

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

// NewID returns a new id, made from random bytes, the time and the pid.
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

// idLineBytes is how much of the first line goes into the id. Without the limit, a start would have
// to wait for the end of a very long first line.
const idLineBytes = 64 << 10

// FileID returns the id of the input that follows a file: 8 characters from a hash of its absolute
// path and its first line, or the first 64 KiB of a longer line. first is the digest of that line
// alone. [ErrNoLine] means that the line is not complete yet: wait.
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

// FirstLine returns the digest of the first line of an open file, as FileID does.
func FirstLine(f *os.File) (string, error) {
	line, err := firstLine(f)
	if err != nil {
		return "", fmt.Errorf("the first line of %s: %w", f.Name(), err)
	}
	return lineDigest(line), nil
}

// firstLine reads the first line without its newline, or the first 64 KiB of a longer line.
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
