package cwlocal

// This file keeps groups and streams in memory. A stream appends events in order of arrival to
// chunks that are never moved or changed. Readers see the events sorted by timestamp, then
// ingestion time, then arrival, as with the service.

import (
	"cmp"
	"slices"
	"sort"
	"sync"
)

// group is a log group, guarded by Server.mu.
type group struct {
	name      string
	created   int64 // ms since 1970
	retention int   // days; 0: forever
	kmsKey    string
	class     string
	tags      map[string]string
	streams   map[string]*stream
	folder    string // its path on disk; "": in memory only
}

// stream is a log stream.
type stream struct {
	// Immutable.
	name    string
	created int64 // ms since 1970
	id      uint64
	discard bool
	file    *streamFile // nil: in memory only

	// mu guards the rest, because each put to the stream has its own goroutine.
	mu        sync.Mutex
	gone      error // the error of puts once the stream is deleted
	chunks    []*chunk
	count     int     // number of events
	bytes     int64   // total size of messages
	last      key     // of the last event to arrive
	unsorted  bool    // the order of arrival is not the reading order
	order     []int32 // if unsorted: arrival numbers of the first len(order) events as read
	first     int64   // the earliest timestamp
	latest    int64   // the latest timestamp
	ingestion int64   // the latest ingestion time
}

// chunk holds consecutive events in order of arrival.
type chunk struct {
	first  int // the arrival number of events[0]
	data   []byte
	events []stored
}

// stored is an event. Its message is chunk.data[start:end].
type stored struct {
	timestamp, ingestion int64
	start, end           int32
}

// key is an event's place in the reading order of its stream.
type key struct {
	timestamp, ingestion int64
	arrival              int // from 0
}

func (k key) compare(o key) int {
	return cmp.Or(cmp.Compare(k.timestamp, o.timestamp), cmp.Compare(k.ingestion, o.ingestion), cmp.Compare(k.arrival, o.arrival))
}

const (
	minChunk = 4 << 10 // bytes of messages; small, because there may be many streams with one event
	maxChunk = 1 << 20
)

// find returns a stream, and its group's retention in days.
func (s *Server) find(groupName, streamName string) (*stream, int, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	g := s.groups[groupName]
	if g == nil {
		return nil, 0, noGroup()
	}
	st := g.streams[streamName]
	if st == nil {
		return nil, 0, noStream()
	}
	return st, g.retention, nil
}

// append stores events, first on disk and then in memory: either all of them or none.
func (st *stream) append(events []inputEvent, now int64) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.gone != nil {
		return st.gone
	}
	if len(events) == 0 {
		return nil
	}
	if st.file != nil {
		if err := st.file.append(events, now); err != nil {
			return err
		}
	}
	left := 0
	for _, e := range events {
		left += len(*e.Message)
	}
	for _, e := range events {
		st.add(st.room(len(*e.Message), left), stored{timestamp: *e.Timestamp, ingestion: now}, *e.Message)
		left -= len(*e.Message)
	}
	return nil
}

// room returns a chunk with space for need more bytes of messages. left is how many bytes are about
// to come, which determines the size of a new chunk. room returns nil if events are discarded.
func (st *stream) room(need, left int) *chunk {
	if st.discard {
		return nil
	}
	size := minChunk
	if n := len(st.chunks); n > 0 {
		c := st.chunks[n-1]
		if cap(c.data)-len(c.data) >= need {
			return c
		}
		size = 2 * cap(c.data)
	}
	c := &chunk{first: st.count, data: make([]byte, 0, max(need, min(max(size, left), maxChunk)))}
	st.chunks = append(st.chunks, c)
	return c
}

// add counts one event and, unless events are discarded, stores it in c, which has room for it.
func (st *stream) add(c *chunk, e stored, message string) {
	if st.bytes == 0 || e.timestamp < st.first { // no message is empty
		st.first = e.timestamp
	}
	st.latest = max(st.latest, e.timestamp)
	st.ingestion = max(st.ingestion, e.ingestion)
	st.bytes += int64(len(message))
	if st.discard {
		return
	}
	e.start = int32(len(c.data))
	c.data = append(c.data, message...)
	e.end = int32(len(c.data))
	c.events = append(c.events, e)

	k := key{e.timestamp, e.ingestion, st.count}
	st.unsorted = st.unsorted || (st.count > 0 && k.compare(st.last) < 0)
	st.last = k
	st.count++
}

// view is a snapshot of a stream, in reading order. It needs no lock, because nothing that it
// refers to changes.
type view struct {
	name   string
	id     uint64
	chunks []chunk
	order  []int32 // nil if the order of arrival is the reading order
	count  int
}

// view returns a snapshot of the stream.
func (st *stream) view() *view {
	st.mu.Lock()
	defer st.mu.Unlock()
	v := &view{name: st.name, id: st.id, chunks: make([]chunk, len(st.chunks)), count: st.count}
	for i, c := range st.chunks {
		v.chunks[i] = *c
	}
	if st.unsorted {
		if len(st.order) < st.count {
			st.order = v.sorted(st.order)
		}
		v.order = st.order
	}
	return v
}

// sorted returns the reading order of all events, given that of the first len(old) of them.
func (v *view) sorted(old []int32) []int32 {
	fresh := make([]int32, v.count-len(old))
	for i := range fresh {
		fresh[i] = int32(len(old) + i)
	}
	before := func(a, b int32) int { return v.key(int(a)).compare(v.key(int(b))) }
	slices.SortFunc(fresh, before)
	all := make([]int32, 0, v.count)
	for len(old) > 0 && len(fresh) > 0 {
		if before(old[0], fresh[0]) < 0 {
			all, old = append(all, old[0]), old[1:]
		} else {
			all, fresh = append(all, fresh[0]), fresh[1:]
		}
	}
	return append(append(all, old...), fresh...)
}

// arrival returns the arrival number of the event at position i of the reading order.
func (v *view) arrival(i int) int {
	if v.order == nil {
		return i
	}
	return int(v.order[i])
}

// get returns the event with an arrival number, and its message, which must not be changed.
func (v *view) get(arrival int) (stored, []byte) {
	c := &v.chunks[sort.Search(len(v.chunks), func(i int) bool { return v.chunks[i].first > arrival })-1]
	e := c.events[arrival-c.first]
	return e, c.data[e.start:e.end]
}

func (v *view) key(arrival int) key {
	e, _ := v.get(arrival)
	return key{e.timestamp, e.ingestion, arrival}
}

// at returns the first position whose event is not before k.
func (v *view) at(k key) int {
	return sort.Search(v.count, func(i int) bool { return v.key(v.arrival(i)).compare(k) >= 0 })
}
