package readback

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestLines(t *testing.T) {
	big := `{"type":"t","jobId":"j","runId":"r","x":"` + strings.Repeat("日\\n", 40) + `"}`
	run1, run2 := `{"type":"a","jobId":"j","runId":"r1"}`, `{"type":"b","jobId":"j","runId":"r2"}`
	other := `{"type":"a","jobId":"other","runId":"r1"}`
	type put struct {
		time    int64
		message string
	}
	for _, c := range []struct {
		name   string
		puts   []put // into stream j
		query  Query // Job is set to j
		want   string
		report Report // without Bytes and Streams
		fault  *Fault // the first
		faults int64  // 0: one, if any
	}{
		{
			name:   "seq is the order, not time",
			puts:   []put{{30, event("i", 1, run1)}, {10, event("i", 3, run1+" ")}, {20, event("i", 2, run2)}},
			want:   run1 + "\n" + run2 + "\n" + run1 + " \n",
			report: Report{Lines: 3, Inputs: 1},
		},
		{
			name:   "inputs by the time of their first line",
			puts:   []put{{10, event("b", 2, run2)}, {20, event("a", 1, run1)}, {20, event("a", 2, run1)}, {30, event("b", 1, run2)}},
			want:   run1 + "\n" + run1 + "\n" + run2 + "\n" + run2 + "\n",
			report: Report{Lines: 4, Inputs: 2},
		},
		{
			name:   "the line's own time counts if the event could not have it",
			puts:   []put{{50, event("a", 1, run1, `"at":40`)}, {50, event("b", 1, run2, `"at":30`)}},
			want:   run2 + "\n" + run1 + "\n",
			report: Report{Lines: 2, Inputs: 2},
		},
		{
			name: "repeats, of lines and of parts",
			puts: []put{{1, event("i", 1, run1)}, {1, event("i", 2, run2)}, {2, event("i", 1, run1)}, {2, event("i", 1, run1, `"at":1`)},
				{3, parts("i", 3, big, 100)[0]}, {3, parts("i", 3, big, 100)[1]}, {3, parts("i", 3, big, 100)[2]}, {3, parts("i", 3, big, 100)[1]}},
			want:   run1 + "\n" + run2 + "\n" + big + "\n",
			report: Report{Lines: 3, Inputs: 1, Joined: 1, Repeats: 3},
		},
		{
			name:   "parts out of order",
			puts:   []put{{1, parts("i", 1, big, 100)[2]}, {1, parts("i", 1, big, 100)[1]}, {1, parts("i", 1, big, 100)[0]}, {1, event("i", 2, run1)}},
			want:   big + "\n" + run1 + "\n",
			report: Report{Lines: 2, Inputs: 1, Joined: 1},
		},
		{
			name:   "one part that is the last",
			puts:   []put{{1, parts("i", 1, big, 9999)[0]}},
			want:   big + "\n",
			report: Report{Lines: 1, Inputs: 1, Joined: 1},
		},
		{
			name:   "a part is missing in the middle",
			puts:   []put{{1, event("i", 1, run1)}, {1, parts("i", 2, big, 100)[0]}, {1, parts("i", 2, big, 100)[2]}, {1, event("i", 3, run2)}},
			want:   run1 + "\n" + run2 + "\n",
			report: Report{Lines: 2, Inputs: 1},
			fault:  &Fault{"i", 2, 2, 2, false},
		},
		{
			name:   "the first part is missing, which says how many empty lines came before",
			puts:   []put{{1, parts("i", 1, big, 100)[1]}, {1, parts("i", 1, big, 100)[2]}, {1, event("i", 2, run2)}, {1, seal("i", 2, 3, true)}},
			want:   run2 + "\n",
			report: Report{Lines: 1, Inputs: 1, Ended: true},
			fault:  &Fault{"i", 1, 1, 1, false},
		},
		{
			name:   "the last part of the last line is missing, and another input has parts with the same seq",
			puts:   []put{{1, parts("i", 1, big, 100)[0]}, {1, parts("i", 1, big, 100)[1]}, {2, parts("k", 1, big, 100)[0]}, {2, parts("k", 1, big, 100)[1]}, {2, parts("k", 1, big, 100)[2]}},
			want:   big + "\n",
			report: Report{Lines: 1, Inputs: 1, Joined: 1},
			fault:  &Fault{"i", 1, 1, 3, false},
		},
		{
			name:   "a line that is there whole and in parts",
			puts:   []put{{1, parts("i", 1, big, 100)[0]}, {1, parts("i", 1, big, 100)[2]}, {1, event("i", 1, big)}},
			want:   big + "\n",
			report: Report{Lines: 1, Inputs: 1},
		},
		{
			name: "repeats with other bytes",
			puts: slices.Concat([]put{{1, event("i", 1, run1)}, {1, event("i", 2, run1)}},
				slices.Repeat([]put{{1, event("i", 2, run1+" ")}, {1, event("i", 1, run2)}}, 50)),
			want:   run1 + "\n" + run1 + "\n",
			report: Report{Lines: 2, Inputs: 1, Repeats: 100},
			fault:  &Fault{"i", 1, 1, 0, true},
			faults: 2,
		},
		{
			name:   "empty lines, and those after the last line from the newest seal",
			puts:   []put{{1, event("i", 1, run1, `"empty":2`)}, {1, seal("i", 2, 7, true)}, {1, event("i", 2, run2, `"empty":1`)}, {1, seal("i", 2, 7, true)}, {1, seal("i", 1, 3, false)}},
			want:   "\n\n" + run1 + "\n\n" + run2 + "\n\n\n\n\n",
			report: Report{Lines: 2, EmptyLines: 7, Inputs: 1, Ended: true},
		},
		{
			name:   "empty lines before a line in parts",
			puts:   []put{{1, parts("i", 1, big, 100, `"empty":1`)[0]}, {1, parts("i", 1, big, 100)[1]}, {1, parts("i", 1, big, 100)[2]}, {1, seal("i", 1, 1, true)}},
			want:   "\n" + big + "\n",
			report: Report{Lines: 1, EmptyLines: 1, Inputs: 1, Joined: 1, Ended: true},
		},
		{
			name:   "the seal's count of empty lines does not apply while lines are missing",
			puts:   []put{{1, event("i", 1, run1)}, {1, event("i", 3, run1)}, {1, seal("i", 3, 5, true)}, {2, event("k", 1, run1)}, {2, seal("k", 2, 5, true)}},
			want:   run1 + "\n" + run1 + "\n" + run1 + "\n",
			report: Report{Lines: 3, Inputs: 2, Ended: true},
		},
		{
			name:   "no newline at the end",
			puts:   []put{{1, event("i", 1, run1)}, {1, event("i", 2, `{"type":"ha`, `"newline":false`)}},
			want:   run1 + "\n" + `{"type":"ha`,
			report: Report{Lines: 2, Inputs: 1},
		},
		{
			name:   "no newline at the end of an input, and another follows",
			puts:   []put{{1, event("i", 1, `{"type":"ha`, `"newline":false`)}, {2, event("k", 2, run1)}},
			want:   `{"type":"ha` + "\n" + run1 + "\n",
			report: Report{Lines: 2, Inputs: 2},
		},
		{
			name:   "no newline, but the input went on",
			puts:   []put{{1, event("i", 1, `{"type":"ha`, `"newline":false`)}, {2, event("i", 2, `lf"}`)}},
			want:   `{"type":"half"}` + "\n",
			report: Report{Lines: 2, Inputs: 1},
		},
		{
			name:   "no newline, but the input went on with one",
			puts:   []put{{1, event("i", 1, "ha", `"newline":false`)}, {1, event("i", 2, "b", `"empty":2`, `"newline":false`)}, {1, seal("i", 2, 3, true)}, {2, event("k", 1, run1)}},
			want:   "ha\n\nb\n" + run1 + "\n",
			report: Report{Lines: 3, EmptyLines: 3, Inputs: 2},
		},
		{
			name:   "no newline, of one type",
			puts:   []put{{1, event("i", 1, "ha", `"newline":false`)}, {1, event("i", 2, "b", `"empty":2`)}},
			query:  Query{Types: []string{"text"}},
			want:   "ha\nb\n",
			report: Report{Lines: 2, Inputs: 1},
		},
		{
			name:   "foreign events and the shipper's records",
			puts:   []put{{1, `{"shipper":{"record":"open","input":"i"},"type":"shipper.open"}`}, {1, event("i", 1, run1)}, {1, "npm warn"}, {1, run2}, {1, seal("i", 1, 0, true)}},
			want:   run1 + "\n",
			report: Report{Lines: 1, Inputs: 1, Foreign: 2, Ended: true},
		},
		{
			name:   "not all inputs have ended",
			puts:   []put{{1, event("i", 1, run1)}, {1, seal("i", 1, 0, true)}, {2, event("k", 1, run1)}, {2, seal("k", 1, 0, false)}},
			want:   run1 + "\n" + run1 + "\n",
			report: Report{Lines: 2, Inputs: 2},
		},
		{
			name:   "another job in the stream",
			puts:   []put{{1, event("x", 1, other)}, {1, event("i", 1, run1)}, {1, event("i", 2, other)}, {1, event("i", 3, run2)}},
			want:   run1 + "\n" + run2 + "\n",
			report: Report{Lines: 2, Inputs: 1},
		},
		{
			name: "lines whose jobId is not a string belong to the job that their input named last, or first",
			puts: []put{
				{1, event("i", 1, `{"jobId":null}`)}, {1, event("i", 1, `{"jobId":null}`)}, {1, event("i", 2, run1)}, {1, event("i", 3, `{"jobId":""}`)}, {1, event("i", 4, `{"jobId":[]}`)},
				{2, event("x", 1, `{"jobId":1}`)}, {2, event("x", 2, other)}, {2, event("y", 1, `{"jobId":2}`)},
				{4, event("z", 1, `{"jobId":1}`)}, {4, event("z", 3, run2)}, {4, event("z", 4, other)}, {4, event("z", 5, `{"jobId":5}`)}, {4, event("z", 6, run1)},
			},
			want:   `{"jobId":null}` + "\n" + run1 + "\n" + `{"jobId":""}` + "\n" + `{"jobId":[]}` + "\n" + run2 + "\n" + run1 + "\n",
			report: Report{Lines: 6, Inputs: 2, Repeats: 1},
		},
		{
			name: "such lines of the selected type",
			puts: []put{
				{1, event("i", 1, `{"type":"n","jobId":1}`)}, {1, event("i", 2, `{"type":"x","jobId":2}`)}, {1, event("i", 3, run1)}, {1, event("i", 4, `{"type":"n"}`)},
				{1, event("i", 5, other)}, {1, event("i", 6, `{"type":"n","jobId":6}`)},
			},
			query:  Query{Types: []string{"n"}},
			want:   `{"type":"n","jobId":1}` + "\n" + `{"type":"n"}` + "\n",
			report: Report{Lines: 2, Inputs: 1},
		},
		{
			name:   "such lines belong to no run",
			puts:   []put{{1, event("i", 1, run1)}, {1, event("i", 2, `{"jobId":2}`)}, {1, event("i", 3, run2)}},
			query:  Query{Run: "r1"},
			want:   run1 + "\n",
			report: Report{Lines: 1, Inputs: 1},
		},
		{
			name:   "stderr is left out",
			puts:   []put{{1, event("i.err", 1, "boom", `"source":"stderr"`)}, {2, event("i", 1, run1)}, {2, seal("i", 1, 0, true)}},
			want:   run1 + "\n",
			report: Report{Lines: 1, Inputs: 1, Ended: true},
		},
		{
			name:   "stderr is selected",
			puts:   []put{{1, event("i.err", 1, "boom", `"source":"stderr"`)}, {2, event("i", 1, run1)}, {2, seal("i", 1, 0, true)}},
			query:  Query{Stderr: true},
			want:   "boom\n" + run1 + "\n",
			report: Report{Lines: 2, Inputs: 2},
		},
		{
			name:   "one run",
			puts:   []put{{1, event("i", 1, run1, `"empty":1`)}, {1, event("i", 2, run2, `"empty":1`)}, {1, event("i", 3, "text")}, {1, event("i", 4, run2, `"empty":1`)}, {1, seal("i", 4, 9, true)}},
			query:  Query{Run: "r2"},
			want:   run2 + "\n" + run2 + "\n",
			report: Report{Lines: 2, Inputs: 1, Ended: true},
		},
		{
			name:   "one type",
			puts:   []put{{1, event("i", 1, run1, `"empty":1`)}, {1, event("i", 2, run2, `"newline":false`)}, {2, event("k", 1, run2, `"empty":1`)}, {2, seal("k", 1, 9, true)}},
			query:  Query{Types: []string{"b"}},
			want:   run2 + "\n" + run2 + "\n",
			report: Report{Lines: 2, Inputs: 2},
		},
		{
			name:   "a type without events",
			puts:   []put{{1, event("i", 1, run1)}, {1, seal("i", 1, 2, true)}},
			query:  Query{Types: []string{"b"}},
			want:   "",
			report: Report{Ended: true},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, memory := range []int{0, 1} { // with 1 each event is a run
				t.Run(fmt.Sprint("memory ", memory), func(t *testing.T) {
					temp := t.TempDir()
					t.Setenv("TMPDIR", temp)
					g := &group{}
					for _, p := range c.puts {
						g.put("j", p.time, p.message)
					}
					q := c.query
					q.Job, q.Memory = "j", memory
					var out strings.Builder
					report, err := Lines(t.Context(), g, q, &out)
					if out.String() != c.want {
						t.Errorf("printed %q\nwant    %q", out.String(), c.want)
					}
					want := c.report
					want.Streams, want.Bytes = []string{"j"}, int64(len(c.want))
					if !reflect.DeepEqual(report, want) {
						t.Errorf("report %+v\nwant   %+v", report, want)
					}
					damage, _ := errors.AsType[*DamageError](err)
					switch {
					case c.fault == nil && err != nil:
						t.Errorf("error %v", err)
					case c.fault != nil && (damage == nil || damage.Total != max(c.faults, 1) || damage.Faults[0] != *c.fault):
						t.Errorf("error %v, want fault %+v", err, *c.fault)
					}
					wantNoFiles(t, temp)
				})
			}
		})
	}
}

func wantNoFiles(t *testing.T, dir string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left in the temporary folder: %v, %v", left, err)
	}
}

func TestDamageError(t *testing.T) {
	for _, c := range []struct {
		err  DamageError
		want string
	}{
		{DamageError{[]Fault{{"k3v9", 42, 42, 2, false}}, 1}, "input k3v9, line 42: part 2 is missing; the line was left out; new events may take seconds to become readable, so try again"},
		{DamageError{[]Fault{{"k3v9", 42, 42, 2, true}}, 3}, "input k3v9, line 42: part 2 is stored twice with different bytes (and 2 more); the first was printed"},
		{DamageError{[]Fault{{"k3v9", 42, 42, 0, true}}, 1}, "input k3v9, line 42 is stored twice with different bytes; the first was printed"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("%q\nwant %q", got, c.want)
		}
	}
}

// If its writer fails, Lines ends with that error and removes its temporary files. The folder that
// holds them is private to the user.
func TestLinesEndsWithItsWriter(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	g := &group{page: 100}
	for seq := range 500 {
		g.put("j", 1, event("i", seq+1, fmt.Sprintf(`{"jobId":"j","n":%d,"x":"%s"}`, seq, strings.Repeat("x", 1000))))
	}
	broken := errors.New("broken pipe")
	w := writerFunc(func([]byte) (int, error) {
		dirs, err := os.ReadDir(temp)
		if err != nil || len(dirs) != 1 {
			t.Fatalf("the temporary folder holds %v, %v", dirs, err)
		}
		if info, err := dirs[0].Info(); err != nil || info.Mode() != os.ModeDir|0o700 {
			t.Errorf("the folder has mode %v, %v", info.Mode(), err)
		}
		return 0, broken
	})
	if _, err := Lines(t.Context(), g, Query{Job: "j", Memory: 10000}, w); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	wantNoFiles(t, temp)

	// The same with a context that ends during printing, and one that ends during reading.
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	w = func(b []byte) (int, error) { cancel(stopped); return len(b), nil }
	if _, err := Lines(ctx, g, Query{Job: "j", Memory: 10000}, w); !errors.Is(err, stopped) {
		t.Errorf("error %v", err)
	}
	wantNoFiles(t, temp)
	if _, err := Lines(ctx, g, Query{Job: "j", Memory: 10000}, w); !errors.Is(err, stopped) {
		t.Errorf("error %v", err)
	}
	wantNoFiles(t, temp)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func TestLinesWithoutTemporaryFolder(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "gone"))
	g := &group{}
	g.put("j", 1, event("i", 1, `{"jobId":"j"}`))
	var out strings.Builder
	if _, err := Lines(t.Context(), g, Query{Job: "j"}, &out); err != nil || out.String() != `{"jobId":"j"}`+"\n" {
		t.Errorf("lines that fit in memory need no temporary folder, but: %q, %v", out.String(), err)
	}
	_, err := Lines(t.Context(), g, Query{Job: "j", Memory: 1}, &out)
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "TMPDIR") {
		t.Errorf("error %v", err)
	}
}
