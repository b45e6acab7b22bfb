package batch

// routes finds the stream of a line. An input opens few streams, and most lines go to the same
// stream as the line before. So routes makes a name once for each set of ids, and then finds it by
// the raw bytes of these ids.
type routes struct {
	template   Template
	hostname   string
	input      string
	names      []string // in the order in which they were opened; at most MaxStreams
	byName     map[string]int
	overflowed bool

	known   map[string]int // index of names by the raw ids
	lastKey []byte
	last    int
	key     []byte // scratch
}

const (
	// maxKnown limits how many sets of ids are remembered. Several sets may lead to one stream.
	maxKnown = 10 * MaxStreams
	// maxKey limits the size of a remembered set, and of an id that names a stream, because an id
	// may be as long as a line.
	maxKey = 4 * maxID
)

func (r *routes) init(t Template, names []string, hostname, input string) {
	*r = routes{template: t, hostname: hostname, input: input, names: append([]string(nil), names...), byName: map[string]int{}, known: map[string]int{}, last: -1}
	for i, name := range names {
		r.byName[name] = i
	}
}

// find returns the index of the stream of a line.
func (r *routes) find(h *head, known *ids) int {
	job, run := h.jobID, h.runID
	key := r.key[:0]
	if isText(job) {
		key = append(key, job...)
	} else {
		key = append(key, known.latest()...)
	}
	jobEnd := len(key)
	if r.template.uses[fieldRun] {
		key = append(key, 0)
		if isText(run) {
			key = append(key, run...)
		} else if _, given := known.added(h); given != "" {
			key = append(key, given...)
		}
	}
	runEnd := len(key)
	if r.template.uses[fieldExpert] {
		key = append(key, 0)
		if isText(h.expertKey) {
			key = append(key, h.expertKey...)
		}
	}
	if len(key) > maxKey {
		return r.open(key, jobEnd, runEnd)
	}
	r.key = key
	if r.last >= 0 && string(key) == string(r.lastKey) {
		return r.last
	}
	i, ok := r.known[string(key)]
	if !ok {
		i = r.open(key, jobEnd, runEnd)
	}
	r.last, r.lastKey = i, append(r.lastKey[:0], key...)
	return i
}

// isText reports whether a raw JSON value can name a stream. It must be a string, not empty and not
// suspiciously large.
func isText(raw []byte) bool { return len(raw) > 2 && len(raw) <= maxKey && raw[0] == '"' }

// open returns the stream for a set of ids that is not remembered, and opens it if necessary.
func (r *routes) open(key []byte, jobEnd, runEnd int) int {
	values := [fields]string{fieldHost: r.hostname}
	values[fieldJob], _ = stringValue(key[:jobEnd])
	if runEnd > jobEnd {
		values[fieldRun], _ = stringValue(key[jobEnd+1 : runEnd])
	}
	if len(key) > runEnd {
		values[fieldExpert], _ = stringValue(key[runEnd+1:])
	}
	name := ""
	if values[fieldJob] == "" && r.template.uses[fieldJob] {
		name = Unattributed(r.hostname, r.input)
	} else {
		name = r.template.name(&values)
	}
	i, ok := r.byName[name]
	if !ok && len(r.names) == MaxStreams {
		r.overflowed = true
		return 0 // not remembered, because there may be any number of these
	}
	if !ok {
		i = len(r.names)
		r.names = append(r.names, name)
		r.byName[name] = i
	}
	if len(key) > maxKey {
		return i
	}
	if len(r.known) == maxKnown {
		clear(r.known)
	}
	r.known[string(key)] = i
	return i
}

// Unattributed returns the name of the stream for the lines of an input that belong to no job.
func Unattributed(hostname, input string) string {
	return StreamName("unattributed/" + hostname + "-" + input)
}
