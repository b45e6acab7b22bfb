package journal

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// FuzzRecover opens folders that were damaged as a byte string says. Either every byte after the
// ack comes back, or an error, Damage or Fallback says that something is wrong. No byte comes back
// that was not written there.
func FuzzRecover(f *testing.F) {
	const pipeCase, outputCase = 0, 1
	for op := range byte(9) {
		for file := range byte(4) {
			f.Add([]byte{pipeCase, op, file, 17})
			f.Add([]byte{outputCase, op, file, 17})
			f.Add([]byte{pipeCase, op, file * 5, 0, op, file, 80})
		}
	}
	const acked = 250
	data := random(11, 1000)
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) < 1 || len(script) > 60 {
			return
		}
		dir := t.TempDir()
		folder, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		var j *Journal
		if script[0]%2 == pipeCase {
			pipe := newPipe(t, folder, "fuzzed", Options{SegmentBytes: 100})
			for i := 0; i < len(data); i += 100 {
				write(t, pipe, data[i:i+100])
			}
			j = pipe.Journal
		} else {
			output, w, err := folder.NewOutput("fuzzed", nil, Options{})
			if err != nil {
				t.Fatal(err)
			}
			j = output.Journal
			w.Write(data)
			w.Close()
			readRest(t, j, 0)
		}
		ack(t, j, 100, "one")
		ack(t, j, acked, "two")
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		d := damager{dir: filepath.Join(dir, "fuzzed")}
		for i := 1; i+2 < len(script); i += 3 {
			d.do(script[i], script[i+1], script[i+2])
		}

		if folder, err = Open(dir); err != nil {
			return
		}
		left, err := folder.Leftover()
		if err != nil || len(left) > 1 {
			t.Fatal(left, err)
		}
		found, err := folder.Recover("fuzzed")
		if err != nil {
			if len(left) == 1 && gone(err) {
				t.Fatal("Leftover lists the input and Recover does not find it:", err)
			}
			if len(left) == 0 && !d.allGone {
				t.Fatal("Leftover does not list an input with bytes:", err)
			}
			return
		}
		j = found.Base()
		defer j.Close()
		reported := j.Damage() != nil || j.Fallback() != ""
		at := j.Cursor().Offset
		if at > acked && !reported {
			t.Fatal("the cursor is beyond the ack, at", at)
		}
		buf := make([]byte, 64)
		for steps := 0; ; steps++ {
			if steps > 10_000 {
				t.Fatal("reading never ends")
			}
			n, err := j.ReadAt(buf, at)
			var gap *GapError
			if errors.As(err, &gap) {
				if gap.From != at || gap.To <= at {
					t.Fatal("invalid gap:", gap, at)
				}
				reported, at = true, gap.To
				continue
			}
			if err != nil {
				reported = true
				break
			}
			if n == 0 {
				break
			}
			if !d.content && (at+int64(n) > int64(len(data)) || string(buf[:n]) != string(data[at:at+int64(n)])) {
				t.Fatalf("wrong bytes in the %d from %d on", n, at)
			}
			at += int64(n)
		}
		if at < int64(len(data)) && !reported && !(d.indexCut && d.dataCut) {
			t.Fatalf("reading ends at %d of %d, and nothing reports that", at, len(data))
		}
		if err := j.Ack(Cursor{Offset: max(j.Cursor().Offset, min(at, j.Size()))}); err != nil {
			t.Fatal("Ack after the recovery:", err)
		}
	})
}

// damager damages a folder as a script says.
type damager struct {
	dir      string
	content  bool // bytes of the input were changed, which the journal cannot notice
	indexCut bool // the index was damaged
	dataCut  bool // bytes of the input were removed; if the index was damaged as well, nothing knows where the input ended
	allGone  bool // no file with bytes of the input is left
}

func (d *damager) do(op, file, value byte) {
	entries, err := os.ReadDir(d.dir)
	if err != nil || len(entries) == 0 {
		return
	}
	name := entries[int(file)%len(entries)].Name()
	path := filepath.Join(d.dir, name)
	bytes := slices.Contains([]string{segmentSuffix, outputSuffix}, filepath.Ext(name))
	cut := func() {
		d.indexCut = d.indexCut || name == arrivalsName
		d.dataCut = d.dataCut || bytes
	}
	info, err := os.Lstat(path)
	if err != nil {
		return
	}
	switch op % 9 {
	case 0:
		os.Remove(path)
		cut()
	case 1:
		os.Truncate(path, info.Size()*int64(value)/256)
		cut()
	case 2: // change one byte
		if content, err := os.ReadFile(path); err == nil && len(content) > 0 {
			content[int(value)%len(content)] ^= 1 + value
			os.WriteFile(path, content, 0o600)
			d.content = d.content || bytes
			cut()
		}
	case 3: // replace the contents by one byte, repeated
		os.WriteFile(path, slices.Repeat([]byte{value}, 200), 0o600)
		d.content = d.content || bytes
		cut()
	case 4: // rename it to another offset
		os.Rename(path, filepath.Join(d.dir, offsetName(int64(value)*10, filepath.Ext(name))))
		d.content = d.content || bytes // the bytes are at another offset now
		cut()
	case 5:
		os.Remove(path)
		os.Symlink("/etc/passwd", path)
		cut()
	case 6:
		os.Remove(path)
		os.Mkdir(path, 0o700)
		cut()
	case 7:
		os.WriteFile(filepath.Join(d.dir, string(rune('a'+value%26))+".txt"), []byte("foreign"), 0o600)
	case 8:
		os.WriteFile(filepath.Join(d.dir, offsetName(int64(value)<<(value%56), segmentSuffix)), []byte("foreign"), 0o600)
		d.content = true
	}
	d.allGone = true
	entries, _ = os.ReadDir(d.dir)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && info.Size() > 0 &&
			slices.Contains([]string{segmentSuffix, outputSuffix}, filepath.Ext(e.Name())) {
			d.allGone = false
		}
	}
}

// FuzzCursor reads arbitrary bytes as a cursor file. If they are accepted, their checksum is right,
// so writing that cursor must produce the same bytes.
func FuzzCursor(f *testing.F) {
	st := dirStore(f.TempDir())
	c, err := createCursor(st)
	if err != nil {
		f.Fatal(err)
	}
	for i := range 3 {
		if err := c.put(Cursor{int64(i), make([]byte, i)}, 3); err != nil {
			f.Fatal(err)
		}
	}
	c.close()
	for _, name := range cursorNames {
		b, err := st.read(name, 1<<20)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[:cursorHead+2])
		f.Add(b[:cursorHead-1])
	}
	f.Add([]byte(cursorMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "cursor")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		k, ok := readCursor(file)
		if !ok {
			return
		}
		again := cursorFiles{f: [2]*os.File{file, file}, room: [2]int64{1 << 20, 1 << 20}, gen: k.gen - 1}
		if err := again.put(k.Cursor, k.mark); err != nil {
			t.Fatal(err)
		}
		if string(again.buf) != string(b[:len(again.buf)]) {
			t.Fatalf("%q was accepted as %q", b, again.buf)
		}
	})
}
