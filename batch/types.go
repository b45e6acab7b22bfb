package batch

// Types counts lines by the types of their events, for metrics. A nil Types counts nothing. It
// belongs to one goroutine, whose Shapers may share it.
type Types struct {
	counts map[string]*int64 // by the raw JSON value
	other  int64             // lines of the types beyond typesCounted
	text   int64             // lines that are not JSON objects

	// The latest type and its count, because a streaming run repeats the same type many times.
	last  []byte
	count *int64
}

// typesCounted bounds how many types are counted separately, because an agent may invent any
// number.
const typesCounted = 64

// CountTypes makes the Shaper count in types the lines that become events.
func (s *Shaper) CountTypes(types *Types) { s.types = types }

// add counts a line. typ is its type, a raw JSON value, or nil.
func (t *Types) add(object bool, typ []byte) {
	switch {
	case t == nil:
	case !object:
		t.text++
	case t.count != nil && string(typ) == string(t.last):
		*t.count++
	default:
		t.find(typ)
		*t.count++
	}
}

// find sets t.count to the count of a type.
func (t *Types) find(typ []byte) {
	count, ok := t.counts[string(typ)]
	switch {
	case ok:
	case len(t.counts) >= typesCounted || len(typ) > maxID:
		count = &t.other
	default:
		if t.counts == nil {
			t.counts = map[string]*int64{}
		}
		count = new(int64)
		t.counts[string(typ)] = count
	}
	t.count, t.last = count, append(t.last[:0], typ...)
}

// Counts returns the counts by type. Lines that are not JSON objects count as "text", events
// without a type as "none", and events of the types beyond typesCounted as "other".
func (t *Types) Counts() map[string]int64 {
	all := map[string]int64{}
	if t == nil {
		return all
	}
	for raw, n := range t.counts {
		name, ok := stringValue([]byte(raw))
		if !ok || name == "" {
			name = "none"
		}
		all[name] += *n
	}
	for name, n := range map[string]int64{"text": t.text, "other": t.other} {
		if n > 0 {
			all[name] += n
		}
	}
	return all
}
