package journal

// This file recovers an input that another process left. Recovery goes by the files that are there.
// It reports what is missing and never guesses.

import (
	"errors"
	"fmt"
	"io/fs"
)

// Recover locks an input of the folder and opens its bytes at its cursor, with the options it was
// made with. It returns a [*HeldError] if somebody owns the input, and [io/fs.ErrNotExist] if there
// is no such input or the followed file is gone. A recovered Pipe has ended, unless a command still
// writes its FIFO. Fallback and Damage say what was wrong. Damage does not prevent reading the
// bytes that are there.
func (f *Folder) Recover(id string) (Recovered, error) {
	if f.path == "" {
		return nil, fmt.Errorf("input %s: nothing remains of a journal in memory: %w", id, fs.ErrNotExist)
	}
	j, err := f.reopen(id)
	if err != nil {
		return nil, err
	}
	var r Recovered
	switch j.kind {
	case KindPipe:
		r = &Pipe{Journal: j}
	case KindOutput:
		r = &Output{Journal: j}
	default:
		r = &File{Journal: j}
	}
	if err := r.attach(); err != nil {
		return nil, errors.Join(fmt.Errorf("input %s: recover it: %w", id, err), j.abortOpen())
	}
	j.opened()
	r.run()
	return r, nil
}

// reopen locks an input and reads everything but its bytes.
func (f *Folder) reopen(id string) (*Journal, error) {
	st, l, err := f.folderOf(id, false)
	if err != nil {
		return nil, err
	}
	h, state, problem := examine(st, id)
	if state != whole {
		if state == noInput {
			err = st.remove(lockName) // folderOf has just made it
		} else {
			err = discard(st)
		}
		gone := fmt.Errorf("input %s: not in %s: %w", id, f.path, fs.ErrNotExist)
		return nil, errors.Join(gone, err, l.release())
	}
	j := newJournal(f, st, l, h)
	j.damage = &DamageError{ID: id}
	if problem != nil {
		j.damage.note("%v", problem)
	}
	if err := j.openRest(); err != nil {
		return nil, errors.Join(fmt.Errorf("input %s: recover it: %w", id, err), j.abortOpen())
	}
	f.worked.Store(true)
	return j, nil
}

// openRest opens the cursor, the index and the snapshot.
func (j *Journal) openRest() error {
	if about, err := j.st.read(aboutName, maxAboutBytes); err == nil {
		j.about = about
	} else {
		j.damage.note("its options are lost (%v)", err)
	}
	cur, newest, ok, err := openCursor(j.st)
	if err != nil {
		return fmt.Errorf("its cursor in %s: %w", j.st.dir(), asFull(err))
	}
	j.cur, j.found, cur.mark = cur, newest.Cursor, newest.mark
	if ok && j.found.Offset > maxOffset {
		ok = false
	}
	if !ok {
		j.found = Cursor{}
		j.fallback = fmt.Sprintf("neither %s nor %s in %s is a valid cursor", cursorNames[0], cursorNames[1], j.st.dir())
	}
	arr, problem, err := openArrivals(j.st, j.header.Started)
	if err != nil {
		return fmt.Errorf("its index of arrivals in %s: %w", j.st.dir(), asFull(err))
	}
	j.arr = arr
	if problem != "" {
		j.damage.note("%s", problem)
	}
	j.rejected = has(j.st, rejectsName)
	return nil
}

// opened completes the opening: everything starts at the cursor.
func (j *Journal) opened() {
	j.offsets.startAt(j.found.Offset)
	j.seenBefore = j.src.size()
	if j.damage.empty() {
		j.damage = nil
	}
}

// abortOpen closes everything that reopen opened and keeps all files for another attempt.
func (j *Journal) abortOpen() error {
	var errs []error
	if j.src != nil {
		errs = append(errs, j.src.close())
	}
	if j.cur != nil {
		errs = append(errs, j.cur.close())
	}
	if j.arr != nil {
		errs = append(errs, j.arr.close())
	}
	return errors.Join(append(errs, j.lock.release())...)
}
