package journal

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if task := os.Getenv("JOURNAL_TEST_TASK"); task != "" { // this process is a writer that a test kills or leaves without room
		runTask(task)
		return
	}
	goleak.VerifyTestMain(m)
}

// random returns n random bytes, which are the same for the same seed.
func random(seed uint64, n int) []byte {
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	b := make([]byte, n)
	r.Read(b)
	return b
}

func openFolder(t testing.TB) *Folder {
	t.Helper()
	f, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func newPipe(t testing.TB, f *Folder, id string, o Options) *Pipe {
	t.Helper()
	j, err := f.NewPipe(id, []byte(`{"group":"/perstack/prod"}`), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

// recoverAs recovers an input of the kind T.
func recoverAs[T Recovered](t tester, f *Folder, id string) (j T) {
	t.Helper()
	found, err := f.Recover(id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { found.Base().Close() })
	j, ok := found.(T)
	if !ok {
		t.Fatalf("%s was recovered as a %v", id, found.Base().Kind())
	}
	return j
}

// based is an input of any kind, or its Journal.
type based interface{ Base() *Journal }

func write(t testing.TB, j *Pipe, b []byte) {
	t.Helper()
	if n, err := j.Write(b); err != nil || n != len(b) {
		t.Fatalf("Write of %d bytes: %d, %v", len(b), n, err)
	}
}

// tester is what *testing.T and *rapid.T have in common.
type tester interface {
	Helper()
	Cleanup(func())
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// readRest reads from off to the end of the bytes written so far. It skips gaps and returns them.
func readRest(t tester, of based, off int64) (data []byte, gaps []Gap) {
	t.Helper()
	j := of.Base()
	buf := make([]byte, 1000)
	for {
		n, err := j.ReadAt(buf, off)
		var gap *GapError
		switch {
		case errors.As(err, &gap):
			if gap.From != off || gap.To <= off {
				t.Fatalf("gap %v at offset %d", gap.Gap, off)
			}
			gaps = append(gaps, gap.Gap)
			off = gap.To
			continue
		case err != nil:
			t.Fatalf("ReadAt %d: %v", off, err)
		case n == 0:
			return data, gaps
		}
		data = append(data, buf[:n]...)
		off += int64(n)
	}
}

func wantRest(t testing.TB, j based, off int64, want []byte) {
	t.Helper()
	got, gaps := readRest(t, j, off)
	if len(gaps) > 0 || !bytes.Equal(got, want) {
		t.Fatalf("from offset %d on: %d bytes and gaps %v, want %d bytes; the bytes are equal: %t", off, len(got), gaps, len(want), bytes.Equal(got, want))
	}
}

func ack(t tester, of based, off int64, state string) {
	t.Helper()
	j := of.Base()
	if err := j.Ack(Cursor{off, []byte(state)}); err != nil {
		t.Fatal(err)
	}
}

func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) }
