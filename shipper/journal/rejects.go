package journal

// This file keeps events that CloudWatch rejected, for people, in rejects.jsonl, one JSON object
// per line. The file outlives the input.

import (
	"bytes"
	"errors"
	"fmt"
	"os"
)

// Reject appends one line to the rejects. entry is a JSON value without a newline. Only the
// goroutine that reads and acks may call it.
func (j *Journal) Reject(entry []byte) error {
	if bytes.IndexByte(entry, '\n') >= 0 {
		return fmt.Errorf("input %s: a reject has more than one line", j.id)
	}
	if err := j.reject(entry); err != nil {
		return fmt.Errorf("input %s: keep a rejected event in %s: %w", j.id, rejectsName, asFull(err))
	}
	j.mu.Lock()
	j.rejected = true
	j.mu.Unlock()
	return nil
}

// reject opens the file each time, because rejects are rare and an input without any must not have
// the file. If a full disk or a crash cut off the last line, reject ends it first, so that it does
// not spoil the new one.
func (j *Journal) reject(entry []byte) error {
	f, err := j.st.open(rejectsName, true)
	if errors.Is(err, os.ErrNotExist) {
		f, err = j.st.create(rejectsName)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	line := make([]byte, 0, len(entry)+2)
	size := info.Size()
	if size > 0 {
		var last [1]byte
		if _, err := f.ReadAt(last[:], size-1); err != nil {
			return err
		}
		if last[0] != '\n' {
			line = append(line, '\n')
		}
	}
	line = append(append(line, entry...), '\n')
	if _, err := f.WriteAt(line, size); err != nil {
		return errors.Join(err, f.Truncate(size)) // all or nothing
	}
	return nil
}

// Rejected reports whether the input has rejects, from this process or an earlier one.
func (j *Journal) Rejected() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.rejected
}
