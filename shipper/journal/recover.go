package journal

// Taking over an input that another process left. What is found there decides; what is missing is
// reported, never guessed away.

import (
	"errors"
	"fmt"
	"io/fs"
)

// Recover takes the lock of an input of the folder and opens it at its cursor, with the options it
// was made with. A [*HeldError] says who owns it; [io/fs.ErrNotExist] that there is no such input,
// or that the followed file is gone. A Pipe has ended, unless a child still writes to its FIFO.
// Fallback and Damage say what was not as it should be; no damage of the folder keeps what it holds
// from being read.
func (f *Folder) Recover(id string) (Recovered, error) {
	if f.path == "" {
		return nil, fmt.Errorf("input %s: a journal in memory leaves nothing: %w", id, fs.ErrNotExist)
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
			err = st.remove(lockName) // which looking for it made
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

// openRest opens cursor, index and snapshot.
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

// opened ends the opening: everything starts from the cursor.
func (j *Journal) opened() {
	j.offsets.startAt(j.found.Offset)
	j.seenBefore = j.src.size()
	if j.damage.empty() {
		j.damage = nil
	}
}

// abortOpen closes what reopen opened, and keeps all files for another try.
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
