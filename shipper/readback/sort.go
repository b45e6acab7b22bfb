package readback

import (
	"bufio"
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
)

// This file sorts more than fits in memory: what comes in is held up to a bound, then sorted and
// written to a file, a run; runs are merged when there are many, and all of one input at the end.
// Repeats fall out wherever runs meet.

// key is what is sorted by. Two items of one key are repeats of each other: the one that came first
// stays.
type key struct {
	input int32 // index of the inputs
	seq   int64 // 0: a record
	part  int32 // 0: a whole line; of a record, its number in the order of reading
}

func (k key) compare(o key) int {
	return cmp.Or(cmp.Compare(k.input, o.input), cmp.Compare(k.seq, o.seq), cmp.Compare(k.part, o.part))
}

// item is a line, or a part of one, without its bytes.
type item struct {
	key
	empty     int64  // empty lines before it
	excluded  int64  // lines before it that were left out
	sum       uint32 // of its line
	at, size  int    // where its bytes begin, in memory, and how many they are: its details, then its line
	details   int    // how many of these are details
	last      bool   // the last part
	noNewline bool
	text      bool
	lossy     bool
	nameless  bool // it names no job itself
	other     bool // it names another job, or run
	muted     bool // it is not asked for, and has no bytes here; but it tells whose the lines beside it are
}

// line is the size of the item's line.
func (it *item) line() int { return it.size - it.details }

const (
	// itemSize is what an item takes of the memory, beside its bytes; roughly, for slices grow in
	// steps.
	itemSize = 96
	// fanIn is how many runs of one level become one of the next. With four levels, 16^4 times the
	// memory, 60 files at most are open.
	fanIn = 16
	// readBuffer is what each run takes while it is merged.
	readBuffer = 32 << 10
)

// store holds the items and sorts them. It belongs to one goroutine.
type store struct {
	memory int

	items  []item
	sorted bool   // the items are
	bytes  []byte // of the items, one after the other in the order in which they came

	dir  string // "" until it is needed
	runs []run  // in the order in which their items came; the levels never rise

	repeats []int64      // by input
	differs map[key]bool // of these, the ones whose bytes differ from the first's; at most maxFaults
}

func newStore(memory int) *store {
	return &store{memory: memory, differs: map[key]bool{}}
}

// add keeps an item and a copy of its details, which may be nil, and of its line.
func (s *store) add(ctx context.Context, it item, d *details, line []byte) error {
	it.at = len(s.bytes)
	if d != nil {
		s.bytes = d.append(s.bytes)
	}
	it.details = len(s.bytes) - it.at
	s.bytes = append(s.bytes, line...)
	it.size = len(s.bytes) - it.at
	s.items, s.sorted = append(s.items, it), false
	if len(s.bytes)+len(s.items)*itemSize < s.memory {
		return nil
	}
	return s.spill(ctx)
}

// spill makes a run of what is in memory.
func (s *store) spill(ctx context.Context) error {
	if err := s.write(ctx, 0, []*itemReader{s.held(math.MinInt32, math.MaxInt32)}); err != nil {
		return err
	}
	s.items, s.bytes = s.items[:0], s.bytes[:0]
	for n := len(s.runs); n >= fanIn && s.runs[n-fanIn].level == s.runs[n-1].level; n = len(s.runs) {
		merged := s.runs[n-fanIn:]
		readers := make([]*itemReader, fanIn)
		for i := range merged {
			readers[i] = merged[i].reader(0, merged[i].size)
		}
		old := slices.Clone(merged)
		s.runs = s.runs[:n-fanIn]
		err := s.write(ctx, old[0].level+1, readers)
		for i := range old {
			old[i].file.Close() // it was only read
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// run is a sorted file. It has no name any more: it is gone when it is closed, or when the process
// dies.
type run struct {
	level  int
	file   *tempFile
	size   int64
	inputs []extent // in order
}

// extent is where the items of one input lie in a run.
type extent struct {
	input      int32
	start, end int64
}

// write appends a run of what the readers give.
func (s *store) write(ctx context.Context, level int, readers []*itemReader) error {
	file, err := s.temp()
	if err != nil {
		return err
	}
	r := run{level: level, file: file}
	w := bufio.NewWriterSize(file, readBuffer)
	err = s.merge(ctx, readers, func(c *itemReader) error {
		if n := len(r.inputs); n == 0 || r.inputs[n-1].input != c.head.input {
			r.inputs = append(r.inputs, extent{c.head.input, r.size, r.size})
		}
		if _, err := w.Write(c.head.appendHeader(w.AvailableBuffer())); err != nil {
			return err
		}
		if err := c.copy(w); err != nil {
			return err
		}
		r.size += headerSize + int64(c.head.size)
		r.inputs[len(r.inputs)-1].end = r.size
		return nil
	})
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		file.Close()
		return err
	}
	s.runs = append(s.runs, r)
	return nil
}

// temp returns a new file without a name.
func (s *store) temp() (*tempFile, error) {
	if s.dir == "" {
		dir, err := os.MkdirTemp("", "perstack-shipper-logs-") // 0700
		if err != nil {
			return nil, diskError(err)
		}
		s.dir = dir
	}
	file, err := os.CreateTemp(s.dir, "")
	if err != nil {
		return nil, diskError(err)
	}
	if err := os.Remove(file.Name()); err != nil {
		file.Close()
		return nil, diskError(err)
	}
	return &tempFile{file}, nil
}

// tempFile is a file whose errors say what it is for.
type tempFile struct{ file *os.File }

func (f *tempFile) Write(b []byte) (int, error) {
	n, err := f.file.Write(b)
	return n, diskError(err)
}

func (f *tempFile) ReadAt(b []byte, off int64) (int, error) {
	n, err := f.file.ReadAt(b, off)
	if err == io.EOF {
		return n, io.EOF // readers compare it
	}
	return n, diskError(err)
}

func (f *tempFile) Close() { f.file.Close() } // what it held is not needed any more

func diskError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("sort lines on disk: %w; set TMPDIR to a folder with room", err)
}

// each calls f with the items of one input, in order, without repeats. f may take the item's bytes
// from the reader, and holds on to nothing.
func (s *store) each(ctx context.Context, input int32, f func(*itemReader) error) error {
	var readers []*itemReader
	for i := range s.runs {
		r := &s.runs[i]
		if at, ok := slices.BinarySearchFunc(r.inputs, input, func(e extent, input int32) int { return cmp.Compare(e.input, input) }); ok {
			readers = append(readers, r.reader(r.inputs[at].start, r.inputs[at].end))
		}
	}
	return s.merge(ctx, append(readers, s.held(input, input)), f)
}

// merge calls f with each item of the readers in order; of those with one key, with the one from
// the first reader.
func (s *store) merge(ctx context.Context, readers []*itemReader, f func(*itemReader) error) error {
	h := make(byHead, 0, len(readers))
	for i, c := range readers {
		c.order = i
		if err := c.next(); err != nil {
			return err
		}
		if !c.done {
			h = append(h, c)
		}
	}
	heap.Init(&h)
	var before item
	for first := true; len(h) > 0; {
		c := h[0]
		switch {
		case first || c.head.key != before.key:
			before, first = c.head, false
			if err := ctx.Err(); err != nil {
				return context.Cause(ctx)
			}
			if err := f(c); err != nil {
				return err
			}
		default:
			if missing := int(c.head.input) + 1 - len(s.repeats); missing > 0 {
				s.repeats = append(s.repeats, make([]int64, missing)...)
			}
			s.repeats[c.head.input]++
			if (c.head.sum != before.sum || c.head.line() != before.line()) && len(s.differs) < maxFaults {
				s.differs[c.head.key] = true
			}
		}
		if err := c.next(); err != nil {
			return err
		}
		if c.done {
			heap.Pop(&h)
		} else {
			heap.Fix(&h, 0)
		}
	}
	return nil
}

// close removes everything. It may be called again.
func (s *store) close() {
	for i := range s.runs {
		s.runs[i].file.Close()
	}
	if s.dir != "" {
		os.RemoveAll(s.dir) // the folder is empty: its files have no names
	}
	*s = store{}
}

// held returns a reader of what is in memory of the inputs from first to last.
func (s *store) held(first, last int32) *itemReader {
	if !s.sorted {
		slices.SortStableFunc(s.items, func(a, b item) int { return a.compare(b.key) })
		s.sorted = true
	}
	from, _ := slices.BinarySearchFunc(s.items, first, func(it item, input int32) int { return cmp.Compare(it.input, input) })
	to := from
	if last == math.MaxInt32 {
		to = len(s.items)
	} else {
		to, _ = slices.BinarySearchFunc(s.items, last+1, func(it item, input int32) int { return cmp.Compare(it.input, input) })
	}
	return &itemReader{items: s.items[from:to], bytes: s.bytes}
}

// reader returns a reader of a piece of a run that begins and ends between items.
func (r *run) reader(start, end int64) *itemReader {
	return &itemReader{r: bufio.NewReaderSize(io.NewSectionReader(r.file, start, end-start), readBuffer)}
}
