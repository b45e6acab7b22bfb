package journal

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"perstack-shipper/shipper/disk"
)

func put(t testing.TB, path, data string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(data); err != nil {
		t.Fatal(err)
	}
}

func follow(t testing.TB, f *Folder, id, path string) *File {
	t.Helper()
	j, err := f.Follow(id, path, []byte("about"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func TestFollowGoesOnAtTheCursor(t *testing.T) {
	for _, again := range []string{"follow", "recover"} {
		t.Run(again, func(t *testing.T) {
			f, path := openFolder(t), filepath.Join(t.TempDir(), "events.jsonl")
			put(t, path, "one\ntwo\n")
			j := follow(t, f, "followed", path)
			wantRest(t, j, 0, []byte("one\ntwo\n"))
			put(t, path, "half a l")
			waitFor(t, j, "growth", func() bool { return j.Size() == 16 })
			ack(t, j, 8, "state")
			if j.Ended() || j.Replaced() || j.Allocated() != 0 {
				t.Fatal(j.Ended(), j.Replaced(), j.Allocated())
			}
			j.Close()
			put(t, path, "ine\n")
			if left, err := f.Leftover(); err != nil || len(left) != 1 || left[0].Kind != KindFile || left[0].File != path || left[0].Unacked != 12 {
				t.Fatalf("%+v %v", left, err)
			}
			if again == "follow" {
				j = follow(t, f, "followed", path)
			} else {
				j = recoverAs[*File](t, f, "followed")
			}
			if c := j.Cursor(); c.Offset != 8 || string(c.State) != "state" || j.Fallback() != "" || j.Damage() != nil || j.FilePath() != path {
				t.Fatalf("%+v %q %v %s", c, j.Fallback(), j.Damage(), j.FilePath())
			}
			wantRest(t, j, 8, []byte("half a line\n"))
			if err := j.StopFollowing(); err != nil || !j.Ended() {
				t.Fatal(err)
			}
			put(t, path, "too late\n")
			if j.Size() != 20 {
				t.Fatal("the input grew after its end, to", j.Size())
			}
			if err := j.Remove(); err != nil {
				t.Fatal(err)
			}
			if got, _ := os.ReadFile(path); string(got) != "one\ntwo\nhalf a line\ntoo late\n" {
				t.Fatalf("the followed file is now %q", got)
			}
		})
	}
}

func TestRenamedFileIsReadToItsEnd(t *testing.T) {
	dir := t.TempDir()
	f, path := openFolder(t), filepath.Join(dir, "events.jsonl")
	put(t, path, "one\n")
	j := follow(t, f, "first", path)
	wantRest(t, j, 0, []byte("one\n"))
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, j, "rename", j.Replaced)
	put(t, path+".1", "two\n")
	wantRest(t, j, 0, []byte("one\ntwo\n"))
	put(t, path, "of the successor\n")
	if !j.Replaced() {
		t.Fatal("Replaced is false although a successor has the path")
	}
	next := follow(t, f, "second", path)
	wantRest(t, next, 0, []byte("of the successor\n"))
	ack(t, j, 4, "")
	j.Close()
	// A restart finds the file under its new name.
	put(t, path+".1", "three\n")
	j = recoverAs[*File](t, f, "first")
	wantRest(t, j, 4, []byte("two\nthree\n"))
	if !j.Replaced() {
		t.Fatal("Replaced is false after a restart")
	}
	j.Close()
	os.Remove(path + ".1")
	if _, err := f.Recover("first"); !gone(err) || !strings.Contains(err.Error(), path) {
		t.Fatal(err)
	}
	if left, err := f.Leftover(); err != nil || len(left) != 2 || left[0].Err == nil || left[1].Err != nil {
		t.Fatalf("%+v %v", left, err)
	}
}

func TestDeletedFileIsReadToItsEnd(t *testing.T) {
	f, path := openFolder(t), filepath.Join(t.TempDir(), "events.jsonl")
	put(t, path, "one\n")
	j := follow(t, f, "gone", path)
	os.Remove(path)
	waitFor(t, j, "deletion", j.Replaced)
	wantRest(t, j, 0, []byte("one\n"))
}

func TestTruncatedFileIsANewInput(t *testing.T) {
	for _, c := range []struct{ name, now string }{
		{"emptied", ""},
		{"shorter", "new\n"},
		{"as long", "ONE\nTWO\n"},
		{"longer", "new contents that are longer\n"},
	} {
		for _, when := range []string{"live", "between two starts"} {
			t.Run(c.name+" "+when, func(t *testing.T) {
				f, path := openFolder(t), filepath.Join(t.TempDir(), "events.jsonl")
				put(t, path, "one\ntwo\n")
				j := follow(t, f, "first", path)
				b := make([]byte, 4)
				j.ReadAt(b, 0)
				ack(t, j, 4, "state")
				if when != "live" {
					j.Close()
				}
				if err := os.WriteFile(path, []byte(c.now), 0o600); err != nil { // same inode
					t.Fatal(err)
				}
				if when != "live" {
					j = follow(t, f, "first", path)
				}
				var cut *TruncatedError
				if _, err := j.ReadAt(make([]byte, 10), 4); !errors.As(err, &cut) || cut.Lost != 4 || cut.At != 4 {
					t.Fatal(err)
				}
				ack(t, j, 4, "sealed")
				next := follow(t, f, "second", path)
				wantRest(t, next, 0, []byte(c.now))
				put(t, path, "more\n")
				wantRest(t, next, 0, []byte(c.now+"more\n"))
				if err := j.Remove(); err != nil {
					t.Fatal(err)
				}
				next.Close()
				next = recoverAs[*File](t, f, "second")
				wantRest(t, next, 0, []byte(c.now+"more\n"))
			})
		}
	}
}

// TestAnotherFileAtThePath checks that a file that replaces another is another input, even if it
// begins with the same bytes.
func TestAnotherFileAtThePath(t *testing.T) {
	for _, c := range []struct{ name, now string }{
		{"a copy that went on", "one\ntwo\nthree\n"},
		{"another with the same first line", "one\nother\nbytes\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, path := openFolder(t), filepath.Join(t.TempDir(), "events.jsonl")
			put(t, path, "one\ntwo\n")
			j := follow(t, f, "copied", path)
			readRest(t, j, 0)
			ack(t, j, 8, "state")
			j.Close()
			put(t, path+".new", c.now)
			if err := os.Rename(path+".new", path); err != nil {
				t.Fatal(err)
			}
			if _, err := f.Recover("copied"); !gone(err) {
				t.Fatal(err)
			}
			j = follow(t, f, "copied", path)
			if _, err := j.ReadAt(make([]byte, 1), 8); !errors.Is(err, ErrTruncated) {
				t.Fatal(err)
			}
		})
	}
}

// TestReusedInodeNumber: deleting a file frees its inode number, which the next file often gets.
func TestReusedInodeNumber(t *testing.T) {
	f, path := openFolder(t), filepath.Join(t.TempDir(), "events.jsonl")
	put(t, path, "one\ntwo\n")
	j := follow(t, f, "first", path)
	readRest(t, j, 0)
	ack(t, j, 8, "")
	rec := j.header
	if rec.Born == 0 {
		t.Skip("NOT TESTED: this file system does not record birth times")
	}
	j.Close()
	for range 20 {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		put(t, path, "one\ntwo\nthree\n")
		if info, err := os.Stat(path); err == nil && disk.IdentityOf(info).Ino == rec.Ino {
			break
		}
	}
	j = follow(t, f, "first", path)
	if _, err := j.ReadAt(make([]byte, 1), 8); !errors.Is(err, ErrTruncated) {
		t.Fatal(err)
	}
}

// TestSameFileOnAnotherMount: the device number may change with each mount, and old headers have no
// birth time.
func TestSameFileOnAnotherMount(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*header)
		now    string
		same   bool
	}{
		{"another device", func(r *header) { r.Dev++ }, "one\ntwo\nthree\n", true},
		{"another device, birth time not known", func(r *header) { r.Dev++; r.Born = 0 }, "one\ntwo\nthree\n", true},
		{"another device, birth time not known, other bytes", func(r *header) { r.Dev++; r.Born = 0 }, "six\ntwo\nthree\n", false},
		{"another device and birth time", func(r *header) { r.Dev++; r.Born++ }, "one\ntwo\nthree\n", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, path := openFolder(t), filepath.Join(t.TempDir(), "events.jsonl")
			put(t, path, "one\ntwo\n")
			j := follow(t, f, "first", path)
			if j.header.Born == 0 {
				t.Skip("NOT TESTED: this file system does not record birth times")
			}
			readRest(t, j, 0)
			ack(t, j, 8, "")
			c.change(&j.header)
			if err := j.writeHeader(); err != nil {
				t.Fatal(err)
			}
			j.Close()
			if err := os.WriteFile(path, []byte(c.now), 0o600); err != nil {
				t.Fatal(err)
			}
			j = follow(t, f, "first", path)
			n, err := j.ReadAt(make([]byte, 10), 8)
			if c.same && (n != 6 || err != nil) || !c.same && !errors.Is(err, ErrTruncated) {
				t.Fatal(n, err)
			}
		})
	}
}

// TestRewrittenWithTheSameEnd: lines without times repeat themselves, so a file that was rewritten
// in place must be recognized by its beginning as well.
func TestRewrittenWithTheSameEnd(t *testing.T) {
	f, path := openFolder(t), filepath.Join(t.TempDir(), "events.jsonl")
	beat := strings.Repeat("heartbeat\n", 1000)
	put(t, path, "start of run 1\n"+beat)
	j := follow(t, f, "first", path)
	readRest(t, j, 0)
	ack(t, j, j.Size(), "")
	j.Close()
	if err := os.WriteFile(path, []byte("start of run 2\n"+beat+beat), 0o600); err != nil {
		t.Fatal(err)
	}
	j = follow(t, f, "first", path)
	if _, err := j.ReadAt(make([]byte, 1), j.Cursor().Offset); !errors.Is(err, ErrTruncated) {
		t.Fatal(err)
	}
}

func TestFollowRefuses(t *testing.T) {
	f, dir := openFolder(t), t.TempDir()
	if _, err := f.Follow("missing", filepath.Join(dir, "none"), nil, Options{}); !gone(err) {
		t.Fatal(err)
	}
	if _, err := f.Follow("folder", dir, nil, Options{}); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "events.jsonl")
	put(t, path, "one\n")
	follow(t, f, "held", path)
	var held *HeldError
	if _, err := f.Follow("held", path, nil, Options{}); !errors.As(err, &held) || held.Pid != os.Getpid() {
		t.Fatal(err)
	}
	newPipe(t, f, "pipe", Options{}).Close()
	if _, err := f.Follow("pipe", path, nil, Options{}); err == nil || !strings.Contains(err.Error(), "a pipe with that id") {
		t.Fatal(err)
	}
	if entries, _ := os.ReadDir(f.Path()); len(entries) != 3 {
		t.Fatal("refused calls left folders:", entries)
	}
}

func TestFollowInMemoryKeepsNothing(t *testing.T) {
	f, path := inMemory(t, 0), filepath.Join(t.TempDir(), "events.jsonl")
	put(t, path, "one\n")
	j := follow(t, f, "followed", path)
	wantRest(t, j, 0, []byte("one\n"))
	ack(t, j, 4, "")
	if left, err := f.Leftover(); err != nil || left != nil || j.Path() != "" {
		t.Fatal(left, err)
	}
}

func TestFileID(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.jsonl")
	put(t, path, "half a line")
	if _, _, err := FileID(path); !errors.Is(err, ErrNoLine) {
		t.Fatal(err)
	}
	put(t, path, "\n")
	id, _, err := FileID(path)
	if err != nil || !validID(id) || len(id) != 8 {
		t.Fatal(id, err)
	}
	put(t, path, "more\n")
	if again, _, _ := FileID(path); again != id {
		t.Fatal("the file grew and has another id")
	}
	put(t, filepath.Join(dir, "b.jsonl"), "half a line\n")
	if other, _, _ := FileID(filepath.Join(dir, "b.jsonl")); other == id {
		t.Fatal("two paths have one id")
	}
	os.WriteFile(path, []byte("another line\n"), 0o600)
	if other, _, _ := FileID(path); other == id {
		t.Fatal("two first lines have one id")
	}
	long := filepath.Join(dir, "long")
	put(t, long, strings.Repeat("x", idLineBytes-1))
	if _, _, err := FileID(long); !errors.Is(err, ErrNoLine) {
		t.Fatal(err)
	}
	put(t, long, "x")
	id, _, err = FileID(long)
	if err != nil {
		t.Fatal(err)
	}
	put(t, long, "xx\n")
	if again, _, err := FileID(long); err != nil || again != id {
		t.Fatal(again, err)
	}
	if _, _, err := FileID(filepath.Join(dir, "none")); !gone(err) {
		t.Fatal(err)
	}
}
