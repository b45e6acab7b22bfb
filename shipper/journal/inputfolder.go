package journal

// This file makes, examines and removes the folder of one input.

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"time"

	"perstack-shipper/shipper/disk"
)

const (
	maxAboutBytes = 16 << 20 // limit on the file "about", of which a start reads all
	maxInputBytes = 64 << 10 // limit on the file "input"
)

// header is the contents of the file "input", which says what the input is. The file is written
// last when an input is made, and renamed first when the input is removed.
type header struct {
	ID           string        `json:"id"`
	Kind         string        `json:"kind"`
	Started      int64         `json:"started"` // ms since 1970
	SegmentBytes int64         `json:"segmentBytes,omitempty"`
	MaxBytes     int64         `json:"maxBytes,omitempty"`
	Sync         time.Duration `json:"sync,omitempty"` // ns
	// Shift is for an Output: the offset of a byte minus its place in the file.
	Shift int64 `json:"shift,omitempty"`
	// Start, Cuts and Head are for an Output that was truncated. Start is the offset of the first
	// byte since then, and Head is what the file begins with since then. For Cuts see outputCuts.
	Start int64  `json:"start,omitempty"`
	Cuts  int64  `json:"cuts,omitempty"`
	Head  []byte `json:"head,omitempty"`
	Path  string `json:"path,omitempty"` // of a File
	Dev   uint64 `json:"dev,omitempty"`  // Dev and Ino: identity of a File
	Ino   uint64 `json:"ino,omitempty"`
	Born  int64  `json:"born,omitempty"` // birth of a File, ns since 1970; 0: unknown
}

func (h header) kind() Kind {
	k, _ := parseKind(h.Kind)
	return k
}

// options returns the options that the input was made with.
func (h header) options() Options { return Options{h.SegmentBytes, h.MaxBytes, h.Sync} }

// inputState is the state of an input's folder.
type inputState int

const (
	noInput     inputState = iota // nothing of ours, or only rejects
	halfMade                      // there was a crash while it was made: it never had a byte
	halfRemoved                   // there was a crash while it was removed
	whole
)

// examine returns what is in an input's folder. If the file "input" is lost or damaged but there
// are bytes, the state is whole, examine returns an error, and it derives the kind from the names
// of the files with the bytes.
func examine(st store, id string) (header, inputState, error) {
	if has(st, finishedName) {
		return header{}, halfRemoved, nil
	}
	h, err := readHeader(st, id)
	if err == nil {
		return h, whole, nil
	}
	files, lerr := st.list()
	if lerr != nil {
		return header{}, noInput, lerr
	}
	h = header{ID: id, Kind: kindNames[KindFile]}
	var bytes int64
	ours, data := false, false
	for _, file := range files {
		_, segment := offsetOf(file.name, segmentSuffix)
		_, output := offsetOf(file.name, outputSuffix)
		switch {
		case segment:
			h.Kind, data = kindNames[KindPipe], true
		case output:
			h.Kind, data = kindNames[KindOutput], true
			if onlyHead(st, file, id) {
				continue
			}
		case file.name != rejectsName && isOurs(file):
			ours = true
			continue
		default:
			continue
		}
		bytes += file.size
	}
	cur, _ := peekCursor(st)
	switch {
	case bytes > 0 || cur.Offset > 0 || has(st, inputName): // making it had been finished
		return h, whole, fmt.Errorf("input %s: its file %q is lost or damaged (%w); treated as a %s", id, inputName, err, h.kind())
	case ours || data || len(files) == 0:
		return header{}, halfMade, nil
	}
	return header{}, noInput, nil
}

func readHeader(st store, id string) (h header, err error) {
	data, err := st.read(inputName, maxInputBytes)
	if err != nil {
		return header{}, err
	}
	if err := json.Unmarshal(data, &h); err != nil {
		return header{}, err
	}
	if _, ok := parseKind(h.Kind); !ok || h.SegmentBytes < 0 || h.MaxBytes < 0 || h.Sync < 0 {
		return header{}, fmt.Errorf("invalid: kind %q, segments of %d bytes, at most %d bytes", h.Kind, h.SegmentBytes, h.MaxBytes)
	}
	h.ID = id // the folder's name is authoritative, because people may copy folders
	return h, nil
}

func (j *Journal) writeHeader() error {
	data, err := json.Marshal(j.header)
	if err != nil {
		return err
	}
	return j.st.replace(inputName, append(data, '\n'))
}

// begin makes the folder, lock, cursor and index of a new input. The caller adds the source, then
// calls commit.
func (f *Folder) begin(id string, kind Kind, about []byte, o Options) (*Journal, error) {
	if o.SegmentBytes < 0 || o.MaxBytes < 0 || o.Sync < 0 {
		return nil, fmt.Errorf("input %s: negative option in %+v; use 0 for the default", id, o)
	}
	if f.path == "" && kind != KindFile && (o.MaxBytes == 0 || o.MaxBytes > f.maxMemory) {
		o.MaxBytes = f.maxMemory
	}
	h := header{
		ID: id, Kind: kindNames[kind], Started: time.Now().UnixMilli(),
		SegmentBytes: o.SegmentBytes, MaxBytes: o.MaxBytes, Sync: o.Sync,
	}
	st, l, err := f.newFolder(id)
	var j *Journal
	if err == nil {
		j, err = f.fill(st, l, h, about)
	}
	// An Output cannot be kept in memory: it may have to move to another folder.
	if err != nil && f.worked.Load() && kind != KindOutput && disk.HasMemfds && disk.Failed(err) {
		return f.beginInMemory(h, about, err)
	}
	return j, err
}

// fill makes the cursor, the index and the snapshot of a new input in its folder.
func (f *Folder) fill(st store, l *lock, h header, about []byte) (*Journal, error) {
	j := newJournal(f, st, l, h)
	j.about = slices.Clone(about)
	err := func() (err error) {
		if j.cur, err = createCursor(st); err != nil {
			return err
		}
		if j.arr, err = createArrivals(st, j.header.Started); err != nil {
			return err
		}
		return st.replace(aboutName, about)
	}()
	if err != nil {
		return nil, j.abandon(err)
	}
	return j, nil
}

func newJournal(f *Folder, st store, l *lock, h header) *Journal {
	j := &Journal{id: h.ID, kind: h.kind(), folder: f, st: st, lock: l, header: h}
	j.stop = make(chan struct{})
	j.bell.main = make(chan struct{}, 1)
	j.retained.Store(math.MaxInt64)
	return j
}

// newFolder returns an empty, locked folder for a new input. It leaves the rejects of an earlier
// input with the same id.
func (f *Folder) newFolder(id string) (store, *lock, error) {
	if f.path == "" {
		if !validID(id) {
			return nil, nil, errInvalidID(id)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.ids[id] {
			return nil, nil, fmt.Errorf("input %s: %w", id, ErrExists)
		}
		f.ids[id] = true
		return newMemoryStore(), &lock{}, nil
	}
	st, l, err := f.folderOf(id, true)
	if err != nil {
		return nil, nil, err
	}
	if _, state, _ := examine(st, id); state == whole {
		return nil, nil, errors.Join(fmt.Errorf("input %s: %w in %s; recover that one, or choose another id", id, ErrExists, f.path), l.release())
	}
	if err := empty(st); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("input %s: remove what a crash left: %w", id, err), l.release())
	}
	return st, l, nil
}

// commit completes the input, so that a restart finds it.
func (j *Journal) commit() error {
	if err := j.writeHeader(); err != nil {
		return j.abandon(err)
	}
	j.folder.worked.Store(true)
	return nil
}

// run starts the background work that every kind has.
func (j *Journal) run() {
	j.bell.ring() // the bytes that are there already may be the last
	if j.header.Sync > 0 {
		j.done.Go(j.syncLoop)
	}
}

// abandon undoes a begin that failed.
func (j *Journal) abandon(err error) error {
	err = fmt.Errorf("input %s: make it: %w", j.id, asFull(err))
	if j.src != nil {
		j.src.close()
	}
	if j.cur != nil {
		j.cur.close()
	}
	if j.arr != nil {
		j.arr.close()
	}
	if derr := discard(j.st); derr != nil {
		err = errors.Join(err, derr)
	}
	j.folder.forget(j.id)
	return errors.Join(err, j.lock.drop())
}

// markFinished marks the moment at which the input ceases to exist. Files that a crash leaves after
// that are garbage.
func (j *Journal) markFinished() error {
	err := j.st.rename(inputName, finishedName)
	if errors.Is(err, fs.ErrNotExist) { // a damaged folder has no file "input", but needs the mark
		err = j.st.replace(finishedName, nil)
	}
	return err
}

// discard removes our files from an input's folder, and also the folder unless rejects or
// foreign files remain in it.
func discard(st store) error {
	if err := empty(st); err != nil {
		return err
	}
	// Remove the lock last, so that it protects the folder to the end.
	for _, name := range []string{finishedName, lockName} {
		if err := st.remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	files, err := st.list()
	if err != nil || len(files) > 0 {
		return err
	}
	return st.drop()
}

// empty removes all of an input's files except the lock, the rejects and "finished".
func empty(st store) error {
	files, err := st.list()
	if err != nil {
		return err
	}
	for _, file := range files {
		_, segment := offsetOf(file.name, segmentSuffix)
		_, output := offsetOf(file.name, outputSuffix)
		ours := file.regular && (segment || output) || isOurs(file) && file.name != rejectsName && file.name != lockName
		if !ours {
			continue
		}
		if err := st.remove(file.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// beginInMemory makes an input in memory because the folder, which worked before, fails now.
func (f *Folder) beginInMemory(h header, about []byte, why error) (*Journal, error) {
	f.mu.Lock()
	taken := f.ids[h.ID]
	f.ids[h.ID] = true
	f.mu.Unlock()
	if taken {
		return nil, fmt.Errorf("input %s: %w", h.ID, ErrExists)
	}
	most := int64(defaultMemory)
	if h.MaxBytes > 0 {
		most = min(most, h.MaxBytes)
	}
	if h.kind() != KindFile {
		h.MaxBytes = most
	}
	j, err := f.fill(newMemoryStore(), &lock{}, h, about)
	if err != nil {
		return nil, err
	}
	j.beganInMemory = &MemoryError{ID: h.ID, Kind: h.kind(), Dir: f.path, Err: cause(why), Most: most}
	return j, nil
}

func (j *Journal) syncLoop() {
	ticks := time.NewTicker(j.header.Sync)
	defer ticks.Stop()
	for {
		select {
		case <-j.stop:
			return
		case <-ticks.C:
			if err := j.syncAll(); err != nil {
				j.noteFailure(fmt.Errorf("input %s: fsync: %w; until that works, a crash of the machine may lose the latest bytes", j.id, err))
			}
		}
	}
}

func (j *Journal) syncAll() error {
	return errors.Join(j.src.sync(), j.arr.sync(), j.cur.sync())
}
