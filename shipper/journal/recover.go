package journal

// Taking over an input that another process left. What is found there decides; what is missing is said, never guessed away.

import (
	"errors"
	"fmt"
	"io/fs"
)

// Recover takes the lock of an input of the folder and opens it at its cursor, with the options it was made with. *HeldError says who
// owns it; fs.ErrNotExist that there is no such input, or that the followed file is gone. A Pipe has ended, unless a child writes to its FIFO still. See
// Fallback and Damage for what was not as it should be; no damage of the folder keeps what it holds from being read.
func (f *Folder) Recover(id string) (*Journal, error) {
	if f.path == "" {
		return nil, fmt.Errorf("journal input %s: a journal in memory leaves nothing: %w", id, fs.ErrNotExist)
	}
	j, err := f.reopen(id)
	if err != nil {
		return nil, err
	}
	if err := j.attach(); err != nil {
		return nil, errors.Join(fmt.Errorf("journal input %s: recover it: %w", id, err), j.letGo())
	}
	j.start()
	return j, nil
}

// reopen locks an input and reads all but its bytes.
func (f *Folder) reopen(id string) (*Journal, error) {
	st, l, err := f.folderOf(id, false)
	if err != nil {
		return nil, err
	}
	rec, state, problem := examine(st, id)
	if state != whole {
		if state == noInput {
			err = st.remove(lockName) // which looking for it made
		} else {
			err = discard(st)
		}
		gone := fmt.Errorf("journal input %s: not in %s: %w", id, f.path, fs.ErrNotExist)
		return nil, errors.Join(gone, err, l.release())
	}
	j := newJournal(f, st, l, rec)
	j.damage = &DamageError{ID: id}
	if problem != nil {
		j.damage.note("%v", problem)
	}
	if err := j.readRest(); err != nil {
		return nil, errors.Join(fmt.Errorf("journal input %s: recover it: %w", id, err), j.letGo())
	}
	f.worked.Store(true)
	return j, nil
}

// readRest opens cursor, index and snapshot.
func (j *Journal) readRest() error {
	if about, err := j.st.read(aboutName, maxAboutBytes); err == nil {
		j.about = about
	} else {
		j.damage.note("its options are lost (%v)", err)
	}
	cur, newest, ok, err := openCursor(j.st)
	if err != nil {
		return fmt.Errorf("its cursor in %s: %w", j.st.dir(), full(err))
	}
	j.cur, j.found, cur.mark = cur, newest.Cursor, newest.mark
	if ok && j.found.Offset > maxOffset {
		ok = false
	}
	if !ok {
		j.found = Cursor{}
		j.fallback = fmt.Sprintf("neither %s nor %s in %s is a valid cursor", cursorNames[0], cursorNames[1], j.st.dir())
	}
	arr, problem, err := openArrivals(j.st, j.rec.Started)
	if err != nil {
		return fmt.Errorf("its index of arrivals in %s: %w", j.st.dir(), full(err))
	}
	j.arr = arr
	if problem != "" {
		j.damage.note("%s", problem)
	}
	j.rejected = has(j.st, rejectsName)
	return nil
}

// attach opens what holds the bytes, and settles the cursor against it.
func (j *Journal) attach() error {
	var err error
	switch j.kind {
	case Pipe:
		err = j.attachPipe()
	case Child:
		err = j.attachOutput()
	default:
		err = j.attachFollowed()
	}
	if err == nil {
		j.settled()
	}
	return err
}

func (j *Journal) settled() {
	j.acked.Store(j.found.Offset)
	j.persisted.Store(j.found.Offset)
	if j.damage.empty() {
		j.damage = nil
	}
}

func (j *Journal) attachPipe() error {
	p := j.newPipeSource()
	p.over.Store(true)
	acked := j.found.Offset
	if j.fallback != "" {
		acked = unknownOffset
	}
	if err := p.findSegments(acked, j.arr.latest(), j.damage); err != nil {
		return fmt.Errorf("its segments in %s: %w", j.st.dir(), err)
	}
	if j.fallback == "" {
		j.sayPlace(p)
	} else if len(p.segs) > 0 { // no cursor: all that is held is shipped, maybe again
		j.found.Offset = p.segs[0].first
		j.fallback += fmt.Sprintf("; starting at offset %d, the first that is held: what came before it was acked or is missing, and what was acked after it is repeated", j.found.Offset)
	}
	if err := j.attachFIFO(p); err != nil {
		return fmt.Errorf("its FIFO in %s: %w", j.st.dir(), full(err))
	}
	return nil
}

// sayPlace fills fallback when the cursor does not lie in what is held.
func (j *Journal) sayPlace(p *pipe) {
	off := j.found.Offset
	switch {
	case len(p.segs) == 0:
		j.fallback = fmt.Sprintf("the cursor is at %d, but %s holds no segment", off, j.st.dir())
	case off < p.segs[0].first:
		j.fallback = fmt.Sprintf("the cursor is at %d, before the first byte that is held, %d: the %d bytes between were acked and the newer cursor lost, or are missing",
			off, p.segs[0].first, p.segs[0].first-off)
	case off > p.segs[len(p.segs)-1].end:
		j.fallback = fmt.Sprintf("the cursor is at %d, after the last byte that is held, %d: nothing is left to ship", off, p.segs[len(p.segs)-1].end)
	}
}

// letGo closes what reopen opened, and keeps it all for another try.
func (j *Journal) letGo() error {
	var errs []error
	if j.src != nil {
		errs = append(errs, j.src.close())
	}
	if j.fifo != nil {
		errs = append(errs, j.fifo.Close())
	}
	if j.cur != nil {
		errs = append(errs, j.cur.close())
	}
	if j.arr != nil {
		errs = append(errs, j.arr.close())
	}
	return errors.Join(append(errs, j.lock.release())...)
}
