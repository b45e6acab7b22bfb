package follow

import (
	"context"
	"crypto/sha256"
	"encoding"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/journal"
)

// model is a followed folder, with what was written to its files and what was read of them.
type model struct {
	t       *rapid.T
	events  string
	journal *journal.Folder
	now     time.Time
	most    int // files followed at once

	set    *Set
	inputs []*reading
	files  map[string]int // the numbers of the files that exist, by name
	wrote  []string       // by number
	read   []string       // by number
	names  int
	copies map[int]bool // numbers of files that were rotated by copying: the input of the copy begins in its middle
}

// reading is an input as the shipper reads it.
type reading struct {
	*Input
	number int // of its file; -1: not known yet
	off    int64
	kept
}

// kept is what the cursor keeps of an input.
type kept struct {
	Bytes  int64
	Digest []byte // the state of a SHA-256 over them
}

// add adds bytes that were read.
func (k *kept) add(data []byte) {
	h := sha256.New()
	if k.Digest != nil {
		if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(k.Digest); err != nil {
			panic(err)
		}
	}
	h.Write(data)
	k.Digest, _ = h.(encoding.BinaryAppender).AppendBinary(nil)
	k.Bytes += int64(len(data))
}

// tell tells the Set how far the input is shaped.
func (r *reading) tell() {
	r.Shaped(r.off, batch.State{Counts: batch.Counts{Bytes: r.Bytes}, Digest: batch.Digested{Lines: r.Digest}}, false, "")
}

func about(id string, note Note, _ []byte) []byte {
	data, err := json.Marshal(note)
	if err != nil {
		panic(err)
	}
	return data
}

func (m *model) start() {
	left, err := m.journal.Leftover()
	m.check(err)
	var known []Known
	for _, l := range left {
		k := Known{Left: l, Mine: true}
		m.check(json.Unmarshal(l.About, &k.Note))
		known = append(known, k)
	}
	m.set, err = New(Options{
		Paths: []string{m.events}, Reading: context.Background(), Folder: m.journal, About: about, Known: known, Patience: Patience{Gone: time.Second, GoneUnsure: time.Second},
		most: m.most,
	})
	m.check(err)
	m.take()
}

func (m *model) check(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// take takes the inputs that the Set has found.
func (m *model) take() {
	for _, in := range m.set.Found() {
		r := &reading{Input: in, number: -1, off: in.Journal.Cursor().Offset}
		if state := in.Journal.Cursor().State; len(state) > 0 {
			m.check(json.Unmarshal(state, &r.kept))
		}
		r.tell()
		m.inputs = append(m.inputs, r)
	}
}

// ship reads what there is, and closes the inputs that have ended.
func (m *model) ship() {
	buf := make([]byte, 64)
	kept := m.inputs[:0]
	for _, in := range m.inputs {
		ended := in.Journal.Ended()
		for {
			n, err := in.Journal.ReadAt(buf, in.off)
			if cut, ok := err.(*journal.TruncatedError); ok && cut.Lost == 0 {
				break
			}
			m.check(err)
			if n == 0 {
				break
			}
			m.got(in, string(buf[:n]))
			in.off += int64(n)
			in.add(buf[:n])
		}
		in.tell()
		state, err := json.Marshal(in.kept)
		m.check(err)
		m.check(in.Journal.Ack(journal.Cursor{Offset: in.off, State: state}))
		switch paused, _ := in.Paused(); {
		case !ended:
			kept = append(kept, in)
			continue
		case paused:
			m.check(in.Journal.Close())
		default:
			m.check(in.Journal.Remove())
		}
		in.Close()
	}
	m.inputs = kept
}

// got records what was read. Every piece of every file begins with the file's number, so no two
// pieces can be confused.
func (m *model) got(in *reading, data string) {
	if in.number < 0 {
		for n := range m.wrote {
			if rest := m.wrote[n][min(len(m.read[n]), len(m.wrote[n])):]; rest != "" && strings.HasPrefix(rest, data[:min(len(data), 6)]) {
				in.number = n
			}
		}
		if in.number < 0 {
			m.t.Fatalf("input %s of %s: read %q, which no file lacks", in.Journal.ID(), in.Path, data)
		}
	}
	m.read[in.number] += data
	if !strings.HasPrefix(m.wrote[in.number], m.read[in.number]) {
		m.t.Fatalf("input %s of %s: file %d is %q, read %q", in.Journal.ID(), in.Path, in.number, m.wrote[in.number], m.read[in.number])
	}
}

// look looks 600 ms later.
func (m *model) look() {
	m.now = m.now.Add(600 * time.Millisecond)
	m.check(m.set.look(m.now))
	m.take()
	m.ship()
}

// readAll ends the last line of a file, and looks until all of it was read. What nobody has read
// when the file is truncated or deleted is lost.
func (m *model) readAll(name string) {
	n := m.files[name]
	m.append(name, "\n")
	for looks := 0; m.read[n] != m.wrote[n]; looks++ {
		if looks > 200 {
			m.t.Fatalf("of file %d, %q was read, want %q", n, m.read[n], m.wrote[n])
		}
		m.look()
	}
}

// some returns the name of one of the files, or "".
func (m *model) some() string {
	names := slices.Sorted(maps.Keys(m.files))
	if len(names) == 0 {
		return ""
	}
	return rapid.SampledFrom(names).Draw(m.t, "file")
}

func (m *model) create() {
	name := rapid.SampledFrom([]string{"app.log", "b.jsonl", "c.log"}).Draw(m.t, "name")
	if _, there := m.files[name]; there {
		return
	}
	m.files[name] = len(m.wrote)
	m.wrote, m.read = append(m.wrote, ""), append(m.read, "")
	m.append(name, "\n")
	m.look()
}

func (m *model) append(name, end string) {
	n := m.files[name]
	text := fmt.Sprintf("%04d %d%s", n, len(m.wrote[n]), end)
	f, err := os.OpenFile(filepath.Join(m.events, name), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	m.check(err)
	_, err = f.WriteString(text)
	m.check(err)
	m.check(f.Close())
	m.wrote[n] += text
}

func (m *model) rename(from, to string) {
	m.check(os.Rename(filepath.Join(m.events, from), filepath.Join(m.events, to)))
	n := m.files[from]
	delete(m.files, from)
	if matches(to) {
		m.files[to] = n
	}
}

// copy copies a file and truncates it, while the Set is stopped, running, or looking in between.
func (m *model) copy(from, to string) {
	data, err := os.ReadFile(filepath.Join(m.events, from))
	m.check(err)
	down := rapid.Bool().Draw(m.t, "down")
	if down {
		m.pause()
	}
	m.check(os.WriteFile(filepath.Join(m.events, to), data, 0o600))
	if !down && rapid.Bool().Draw(m.t, "look") {
		m.look()
	}
	m.check(os.Truncate(filepath.Join(m.events, from), 0))
	if down {
		m.start()
	}
	m.look()
	m.files[to] = m.files[from]
	m.copies[m.files[to]] = true
	m.files[from] = len(m.wrote)
	m.wrote, m.read = append(m.wrote, ""), append(m.read, "")
	m.readAll(to) // only what it has beyond the origin is shipped
}

// pause stops the Set as a signal does.
func (m *model) pause() {
	m.set.stopping = true
	for more := true; more; {
		m.now = m.now.Add(m.set.o.Patience.LastLine)
		more = m.set.pauseAll(m.now)
		m.take()
		m.ship()
	}
	m.set.close()
	if len(m.inputs) > 0 {
		m.t.Fatalf("%d inputs have not ended", len(m.inputs))
	}
}

// Whatever happens to the files of a folder, each byte of each file is read once and in order.
// Files are renamed to a name that is followed or not, truncated, deleted, and made again under a
// name that another file had, while the Set runs or between two starts.
func TestEveryByteOfAFolderIsReadOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir := t.TempDir()
		folder, err := journal.Open(filepath.Join(dir, "journal"))
		m := &model{t: rt, events: filepath.Join(dir, "events"), journal: folder, now: time.Now(), files: map[string]int{}, copies: map[int]bool{},
			most: rapid.SampledFrom([]int{2, 3, 5, 100}).Draw(rt, "most")}
		m.check(err)
		m.check(os.Mkdir(m.events, 0o700))
		m.start()
		rt.Repeat(map[string]func(*rapid.T){
			"": func(*rapid.T) {},
			"create": func(*rapid.T) {
				m.create()
			},
			"append": func(*rapid.T) {
				if name := m.some(); name != "" {
					m.append(name, rapid.SampledFrom([]string{"\n", "\n", "\n", ""}).Draw(rt, "end"))
				}
			},
			"look": func(*rapid.T) { m.look() },
			"rename": func(*rapid.T) {
				if name := m.some(); name != "" {
					m.names++
					m.rename(name, fmt.Sprintf("old-%d.log", m.names))
				}
			},
			"rotate": func(*rapid.T) {
				if name := m.some(); name != "" {
					m.readAll(name)
					m.names++
					m.rename(name, fmt.Sprintf("%s.%d", name, m.names))
					m.create()
				}
			},
			"delete": func(*rapid.T) {
				if name := m.some(); name != "" {
					m.readAll(name)
					m.check(os.Remove(filepath.Join(m.events, name)))
					delete(m.files, name)
				}
			},
			"cut": func(*rapid.T) {
				if name := m.some(); name != "" {
					m.readAll(name)
					m.check(os.Truncate(filepath.Join(m.events, name), 0))
					m.look()
					m.files[name] = len(m.wrote)
					m.wrote, m.read = append(m.wrote, ""), append(m.read, "")
				}
			},
			"rotate by copying": func(*rapid.T) {
				if name := m.some(); name != "" && !m.copies[m.files[name]] {
					m.readAll(name)
					m.names++
					m.copy(name, fmt.Sprintf("copy-%d.log", m.names))
				}
			},
			"restart": func(*rapid.T) {
				m.pause()
				m.start()
			},
			"crash": func(*rapid.T) {
				m.look()
				m.set.close()
				for _, in := range m.inputs {
					m.check(in.Journal.Close())
				}
				m.inputs = nil
				m.start()
			},
		})
		m.pause()
		for n, text := range m.wrote {
			if m.read[n] != text {
				rt.Errorf("of file %d, %q was read, %q was written", n, m.read[n], text)
			}
		}
	})
}
