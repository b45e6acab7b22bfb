package batch

// Types counts lines by the types of their events, for metrics. A nil one counts nothing. It
// belongs to one goroutine, and several Shapers of that may share it.
type Types struct {
	counts map[string]*int64 // by the raw JSON value
	other  int64             // of the types that there is no room for
	text   int64             // lines that are no JSON object

	// A streaming run has the same type many times on end.
	last  []byte
	count *int64
}

// typesCounted bounds how many types are told apart: an agent may invent any number.
const typesCounted = 64

// CountTypes makes the Shaper count the lines that it makes events of.
func (s *Shaper) CountTypes(types *Types) { s.types = types }

// add counts a line of a type, a raw JSON value or nil.
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

// find makes count that of a type.
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

// Counts returns the counts by type. Lines that are no JSON object have the type "text", events
// without one "none", and those of types that there is no room for "other".
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
