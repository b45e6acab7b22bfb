package readback

// This file sorts more than fits in memory. Items are held in memory up to a bound, then sorted and
// written to a file, called a run. When there are many runs they are merged into one, and reading
// an input merges all that is left. Each merge drops repeats.

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

// key is the sort key. Two items with the same key are repeats, of which the one that came first is
// kept.
type key struct {
	input int32 // index into collected.inputs
	seq   int64 // 0 for a record
	part  int32 // 0 for a whole line; for a record, its number in the order of reading
}

func (k key) compare(o key) int {
	return cmp.Or(cmp.Compare(k.input, o.input), cmp.Compare(k.seq, o.seq), cmp.Compare(k.part, o.part))
}

// item is a line, or a part of one, without its bytes.
type item struct {
	key
	empty     int64  // empty lines before it
	excluded  int64  // excluded lines before it
	sum       uint32 // checksum of its line
	at, size  int    // offset in memory and length of its bytes: its details, then its line
	details   int    // length of the details
	last      bool   // it is the last part
	noNewline bool
	text      bool
	lossy     bool
	nameless  bool // it names no job
	other     bool // it names another job or run
	muted     bool // not selected; kept without bytes, to tell the jobs of lines next to it
}

// line returns the size of the item's line.
func (it *item) line() int { return it.size - it.details }

const (
	// itemSize is the memory that an item takes besides its bytes. It is an estimate, because
	// slices grow in steps.
	itemSize = 96
	// fanIn is how many runs of one level are merged into one of the next. Four levels hold 16^4
	// times the memory with at most 60 open files.
	fanIn = 16
	// readBuffer is the memory that each run takes during a merge.
	readBuffer = 32 << 10
)

// store holds the items and sorts them. It belongs to one goroutine.
type store struct {
	memory int

	items  []item
	sorted bool   // items are sorted
	bytes  []byte // the items' bytes in the order of arrival

	dir  string // "" until a file is needed
	runs []run  // in the order in which their items arrived; levels never rise

	repeats []int64      // by input
	differs map[key]bool // repeats whose bytes differ from the first item's; at most maxFaults
}

func newStore(memory int) *store {
	return &store{memory: memory, differs: map[key]bool{}}
}

// add stores an item with a copy of its details, which may be nil, and of its line.
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

// spill moves the items in memory to a run, and merges runs of one level if there are enough.
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
			old[i].file.Close() // an error loses nothing: the file was only read
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// run is a sorted file. Its name has been removed, so it disappears when it is closed or the
// process dies.
type run struct {
	level  int
	file   *tempFile
	size   int64
	inputs []extent // ordered by input
}

// extent is the range [start, end) of a run that holds the items of one input.
type extent struct {
	input      int32
	start, end int64
}

// write merges the readers into a new run.
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

// tempFile is a file whose errors say what it is for and what to do.
type tempFile struct{ file *os.File }

// Write writes to the file.
func (f *tempFile) Write(b []byte) (int, error) {
	n, err := f.file.Write(b)
	return n, diskError(err)
}

// ReadAt reads from the file. It returns io.EOF itself, because callers compare with ==.
func (f *tempFile) ReadAt(b []byte, off int64) (int, error) {
	n, err := f.file.ReadAt(b, off)
	if err == io.EOF {
		return n, io.EOF
	}
	return n, diskError(err)
}

// Close closes the file. It returns no error because its contents are not needed any more.
func (f *tempFile) Close() { f.file.Close() }

func diskError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("sort lines on disk: %w; set TMPDIR to a folder with room", err)
}

// each calls f for the items of one input, in order and without repeats. f may read the item's
// bytes from the reader, but must not retain anything.
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

// merge calls f for each item of the readers, in order. Of items with the same key it takes the one
// from the first reader and counts the others as repeats.
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

// close removes all files. It may be called more than once.
func (s *store) close() {
	for i := range s.runs {
		s.runs[i].file.Close()
	}
	if s.dir != "" {
		os.RemoveAll(s.dir) // it is empty, since the names of its files were removed
	}
	*s = store{}
}

// held returns a reader of the items in memory of the inputs first to last, inclusive.
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

// reader returns a reader of the range [start, end) of a run. Both offsets are between items.
func (r *run) reader(start, end int64) *itemReader {
	return &itemReader{r: bufio.NewReaderSize(io.NewSectionReader(r.file, start, end-start), readBuffer)}
}
