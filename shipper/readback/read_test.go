package readback

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// told is a View that writes down its calls.
type told struct{ lines []string }

func (v *told) say(format string, args ...any) error {
	v.lines = append(v.lines, fmt.Sprintf(format, args...))
	return nil
}

func (v *told) Input(in *Input) error {
	return v.say("input %s proved %v absent %v", in.ID, in.Proved, in.Absent)
}

func (v *told) Record(r *Record) error { return v.say("%s of %s in %s", r.Kind, r.Input.ID, r.Stream) }

func (v *told) Line(l *Line) error {
	text, held := l.Bytes()
	var all strings.Builder
	if _, err := l.WriteTo(&all); err != nil {
		return err
	}
	if held && string(text) != all.String() || int64(all.Len()) != l.Size {
		return fmt.Errorf("line %d: held %q, written %q, size %d", l.Seq, text, all.String(), l.Size)
	}
	if l.Excluded+l.Redacted > 0 {
		return v.say("line %d behind %d, %d redacted", l.Seq, l.Excluded, l.Redacted)
	}
	return v.say("line %d %s job %s type %s at %d in %s parts %d", l.Seq, &all, l.JobID, l.Type, l.Time, l.Stream, l.Parts)
}

func (v *told) Fault(f *Fault) error { return v.say("fault %s", f) }

func (v *told) End(in *Input) error {
	return v.say("end %s at %d, trailing %d", in.ID, in.LastSeq, in.Trailing)
}

// sealOf returns a seal that names its streams. more are further members.
func sealOf(input string, lastSeq int, streams []string, more string) string {
	return fmt.Sprintf(`{"shipper":{"record":"seal","input":%q},"type":"shipper.seal","lastSeq":%d,"streams":["%s"]%s,"newer":{"x":[1]},"ended":true}`,
		input, lastSeq, strings.Join(streams, `","`), more)
}

func TestRead(t *testing.T) {
	line := func(job string, n int) string { return fmt.Sprintf(`{"type":"t","jobId":%q,"n":%d}`, job, n) }
	open := func(input string) string {
		return fmt.Sprintf(`{"shipper":{"record":"open","input":%q},"type":"shipper.open","timestamp":5}`, input)
	}
	big := `{"type":"t","jobId":"j","runId":"r","x":"` + strings.Repeat("x", 250) + `"}`
	type put struct{ stream, message string }
	for _, c := range []struct {
		name   string
		puts   []put
		query  Query // Job is set to j unless it selects streams or records
		want   []string
		faults []Fault
		err    error
	}{
		{
			name: "records, lines, faults, in this order",
			puts: []put{{"j", event("i", 2, line("j", 2), `"at":7`)}, {"j", open("i")}, {"j", parts("i", 4, big, 200)[1]}, {"j", parts("i", 4, big, 200)[0]},
				{"j", event("i", 6, line("j", 6))}, {"j", event("i", 6, line("j", 7))}, {"j", sealOf("i", 9, []string{"j"}, `,"rejected":[[7,7]],"excluded":[[8,8]]`)}},
			want: []string{"input i proved true absent []", "open of i in j", "seal of i in j", "fault input i, line 1 is missing",
				"line 2 " + line("j", 2) + " job j type t at 7 in j parts 0", "fault input i, line 3 is missing", "line 4 " + big + " job j type t at 1 in j parts 2",
				"fault input i, line 5 is missing", "line 6 " + line("j", 6) + " job j type t at 1 in j parts 0", "fault input i, line 9 is missing",
				"fault input i, line 6 is stored twice with different bytes", "end i at 6, trailing 0"},
			faults: []Fault{{"i", 1, 1, 0, false}, {"i", 3, 3, 0, false}, {"i", 5, 5, 0, false}, {"i", 9, 9, 0, false}, {"i", 6, 6, 0, true}},
		},
		{
			name: "excluded lines at the end that no range lists",
			puts: []put{{"j", event("i", 1, line("j", 1))}, {"j", sealOf("i", 4, []string{"j"}, `,"excludedLines":2,"excludedCut":true,"excludedSince":2`)}},
			want: []string{"input i proved true absent []", "seal of i in j", "line 1 " + line("j", 1) + " job j type t at 1 in j parts 0",
				"fault input i, line 2 is missing", "end i at 1, trailing 0"},
			faults: []Fault{{"i", 2, 2, 0, false}},
		},
		{
			name: "excluded lines before others, and redactions",
			puts: []put{{"j", event("i", 3, line("j", 3), `"excluded":2`)}, {"j", parts("i", 5, big, 200, `"redacted":2`)[0]},
				{"j", parts("i", 5, big, 200, `"redacted":1`)[1]}, {"j", event("i", 8, line("j", 8), `"excluded":1`)}, {"j", sealOf("i", 8, []string{"j"}, `,"excludedLines":3,"excludedCut":true`)}},
			want: []string{"input i proved true absent []", "seal of i in j", "line 3 behind 2, 0 redacted", "fault input i, line 4 is missing",
				"line 5 behind 0, 3 redacted", "fault input i, line 6 is missing", "line 8 behind 1, 0 redacted", "end i at 8, trailing 0"},
			faults: []Fault{{"i", 4, 4, 0, false}, {"i", 6, 6, 0, false}},
		},
		{
			name: "lines are in another job's stream, which is not read, so nothing counts as missing",
			puts: []put{{"j", event("i", 2, line("j", 2))}, {"j", sealOf("i", 3, []string{"j", "k"}, "")}, {"k", event("i", 1, line("k", 1))}},
			want: []string{"input i proved false absent []", "seal of i in j", "line 2 " + line("j", 2) + " job j type t at 1 in j parts 0", "end i at 2, trailing 0"},
		},
		{
			name:  "the whole input",
			query: Query{Whole: true},
			puts: []put{{"j", event("i", 2, line("j", 2))}, {"j", sealOf("i", 3, []string{"j", "k", "gone"}, "")}, {"k", event("i", 1, line("k", 1))},
				{"k", event("x", 1, line("k", 1))}},
			want: []string{"input i proved true absent [gone]", "seal of i in j", "line 1 " + line("k", 1) + " job k type t at 1 in k parts 0",
				"line 2 " + line("j", 2) + " job j type t at 1 in j parts 0", "fault input i, line 3 is missing", "end i at 2, trailing 0"},
			faults: []Fault{{"i", 3, 3, 0, false}},
		},
		{
			name:   "all lines are gone, but the records are there",
			puts:   []put{{"j", open("i")}, {"j", sealOf("i", 2, []string{"j"}, "")}},
			want:   []string{"input i proved true absent []", "open of i in j", "seal of i in j", "fault input i: lines 1 to 2 are missing", "end i at 0, trailing 0"},
			faults: []Fault{{"i", 1, 2, 0, false}},
		},
		{
			name:  "the job's stream is gone, but a seal in another one names it",
			query: Query{Whole: true},
			puts:  []put{{"k", event("i", 1, line("k", 1))}, {"k", sealOf("i", 2, []string{"k", "j"}, `,"jobs":[{"jobId":"j"}]`)}},
			want: []string{"input i proved true absent [j]", "seal of i in k", "line 1 " + line("k", 1) + " job k type t at 1 in k parts 0",
				"fault input i, line 2 is missing", "end i at 1, trailing 0"},
			faults: []Fault{{"i", 2, 2, 0, false}},
		},
		{
			name:  "within bounds of time nothing counts as missing",
			query: Query{Since: time.UnixMilli(1)},
			puts:  []put{{"j", event("i", 2, line("j", 2))}, {"j", sealOf("i", 2, []string{"j"}, "")}},
			want:  []string{"input i proved false absent []", "seal of i in j", "line 2 " + line("j", 2) + " job j type t at 1 in j parts 0", "end i at 2, trailing 0"},
		},
		{
			name:  "one input of a stream, whatever its job",
			query: Query{Streams: []string{"j"}, Inputs: []string{"i"}},
			puts:  []put{{"j", event("i", 1, line("k", 1))}, {"j", event("x", 1, line("j", 2))}},
			want:  []string{"input i proved false absent []", "line 1 " + line("k", 1) + " job k type t at 1 in j parts 0", "end i at 1, trailing 0"},
		},
		{
			name:  "records alone",
			query: Query{Records: true, Stderr: true},
			puts: []put{{"j", open("i")}, {"j", event("i", 1, `{"type":"shipper.seal"}`)}, {"j", sealOf("i", 1, []string{"j"}, "")}, {"k", open("k.err")},
				{"k", `{"shipper":{"record":"check","input":"c"},"type":"shipper.seal"}`}},
			want: []string{"input i proved false absent []", "open of i in j", "seal of i in j", "end i at 0, trailing 0", "input k.err proved false absent []", "open of k.err in k", "end k.err at 0, trailing 0"},
		},
		{
			name: "a forged seal",
			puts: []put{{"j", `{"shipper":{"input":"i","seq":1},"shipper":{"record":"seal","input":"i"},"lastSeq":9,"streams":["j"],"jobId":"j","ended":true}`}},
			want: []string{"input i proved false absent []", `line 1 {"shipper":{"record":"seal","input":"i"},"lastSeq":9,"streams":["j"],"jobId":"j","ended":true} job j type  at 1 in j parts 0`, "end i at 1, trailing 0"},
		},
		{name: "nothing", puts: []put{{"k", event("i", 1, line("k", 1))}}, err: ErrNothing},
		{name: "no records", query: Query{Records: true}, puts: []put{{"k", event("i", 1, line("k", 1))}}, err: ErrNothing},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, memory := range []int{0, 1} { // with 1 each event is a run
				t.Setenv("TMPDIR", t.TempDir())
				g := &group{}
				for _, p := range c.puts {
					g.put(p.stream, 1, p.message)
				}
				q := c.query
				if q.Memory = memory; len(q.Streams) == 0 && !q.Records {
					q.Job = "j"
				}
				var v told
				_, err := Read(t.Context(), g, q, &v)
				if !slices.Equal(v.lines, c.want) {
					t.Errorf("memory %d: told\n%s\nwant\n%s", memory, strings.Join(v.lines, "\n"), strings.Join(c.want, "\n"))
				}
				damage, _ := errors.AsType[*DamageError](err)
				switch {
				case c.faults != nil:
					if damage == nil || !reflect.DeepEqual(damage.Faults, c.faults) || damage.Total != int64(len(c.faults)) {
						t.Errorf("memory %d: error %#v", memory, err)
					}
				case !errors.Is(err, c.err) || damage != nil:
					t.Errorf("memory %d: error %v, want %v", memory, err, c.err)
				}
			}
		})
	}
}

// An error of the view ends Read.
func TestReadEndsWithTheView(t *testing.T) {
	g := &group{}
	g.put("j", 1, event("i", 1, `{"jobId":"j"}`))
	enough := errors.New("enough")
	if _, err := Read(t.Context(), g, Query{Job: "j"}, failing{err: enough}); err != enough {
		t.Errorf("error %v", err)
	}
}

type failing struct {
	Ignore
	err error
}

func (v failing) Line(*Line) error { return v.err }

// Read looks for missing lines again as long as Query.Wait allows.
func TestReadWaitsForMissingLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &group{}
		g.put("j", 1, event("i", 1, `{"jobId":"j","n":1}`))
		g.put("j", 1, sealOf("i", 2, []string{"j"}, ""))
		reads := 0
		g.before = func(stream string, page int) {
			if page == 0 {
				if reads++; reads == 3 {
					g.put("j", 1, event("i", 2, `{"jobId":"j","n":2}`))
				}
			}
		}
		report, err := Read(t.Context(), g, Query{Job: "j", Wait: time.Minute}, Ignore{})
		if err != nil || report.Lines != 2 || reads != 3 {
			t.Errorf("%+v, %d reads, %v", report, reads, err)
		}
	})
}
