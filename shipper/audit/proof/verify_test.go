package proof

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/smithy-go"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/readback"
	"perstack-shipper/shipper/readback/readbacktest"
)

// held is a log group in memory that can be described and can mask secrets.
type held struct {
	readbacktest.Held
	streams map[string][]string // the messages
	group   cloudwatch.Group
	secret  error // of DescribeGroup
	masked  bool  // mask secrets, unless the originals are selected
}

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// fill turns the messages into events with times 20 days ago that were put three minutes ago.
func (h *held) fill() *held {
	h.Held = readbacktest.Held{}
	for stream, messages := range h.streams {
		for i, m := range messages {
			h.Held[stream] = append(h.Held[stream], cloudwatch.Event{
				Stream: stream, Time: noon.AddDate(0, 0, -20).UnixMilli() + int64(i), Ingested: noon.Add(-3 * time.Minute).UnixMilli(), Message: m,
			})
		}
	}
	return h
}

func (h *held) EventsPage(ctx context.Context, stream string, of cloudwatch.Selection, token string) ([]cloudwatch.Event, string, bool, error) {
	events, next, end, err := h.Held.EventsPage(ctx, stream, of, token)
	events = slices.Clone(events)
	for i := range events {
		if h.masked && !of.Unmask {
			events[i].Message = strings.ReplaceAll(events[i].Message, "secret", "******")
		}
	}
	return events, next, end, err
}

func (h *held) DescribeGroup(context.Context) (cloudwatch.Group, bool, error) {
	return h.group, h.secret == nil, h.secret
}

// lines returns the events of input i of job j, from seq 1.
func lines(all ...string) (events []string) {
	for i, line := range all {
		events = append(events, fmt.Sprintf(`{"shipper":{"input":"i","seq":%d},%s`, i+1, line[1:]))
	}
	return events
}

// seal returns the seal of these lines, with more members.
func seal(more string, all ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(all, "\n") + "\n"))
	return fmt.Sprintf(`{"shipper":{"record":"seal","input":"i"},"type":"shipper.seal","timestamp":%d,"lines":%d,"lastSeq":%d,"sha256":"%x","streams":["j"]%s}`,
		noon.Add(-3*time.Minute).UnixMilli(), len(all), len(all), sum, more)
}

// inParts returns the events of a line in two parts.
func inParts(seq int, line string) []string {
	part := func(n int, more, data string) string {
		return fmt.Sprintf(`{"shipper":{"input":"i","seq":%d,"part":%d%s},"jobId":"j","data":%q}`, seq, n, more, data)
	}
	return []string{part(1, "", line[:len(line)/2]), part(2, `,"last":true`, line[len(line)/2:])}
}

func TestVerify(t *testing.T) {
	three := []string{`{"jobId":"j","n":1}`, `{"jobId":"j","n":2,"x":"secret"}`, `{"jobId":"j","n":3}`}
	done := `,"ended":true`
	long := `{"jobId":"j","x":"` + strings.Repeat("x", batch.MaxLineBytes) + `"}`
	for _, test := range []struct {
		name   string
		held   held
		unmask bool
		want   Verdict
		why    string // of the first input, or of the job if it has no inputs
	}{
		{name: "complete", held: held{streams: map[string][]string{"j": append(lines(three...), seal(done, three...))}}, want: Complete},
		{
			name: "not ended", held: held{streams: map[string][]string{"j": append(lines(three...), seal("", three...))}},
			want: CannotTell, why: "the input has not ended (last seal at seq 3, 3 minutes ago)",
		},
		{
			name: "lines behind the last seal", held: held{streams: map[string][]string{"j": append(lines(three...), seal(done, three[:2]...))}},
			want: CannotTell, why: "1 line follows the last seal, at seq 2",
		},
		{
			name: "altered before a seal that is not the last", held: held{streams: map[string][]string{"j": append(lines(three...), seal("", three[0], three[2]))}},
			want: NotComplete, why: "altered: no line is missing, but the digest does not match the seal; give the FILE that holds the original to see which lines differ; 1 line follows the last seal, at seq 2",
		},
		{
			name: "a followed file whose job has ended", want: Complete,
			held: held{streams: map[string][]string{"j": append(lines(three...), `{"shipper":{"record":"open","input":"i"},"path":"/events/run.jsonl"}`,
				seal(`,"jobs":[{"jobId":"j","outcome":"completed"},{"jobId":"k","outcome":"unfinished"}]`, three...))}},
		},
		{
			name: "a followed file whose job has not ended", want: CannotTell, why: "the input has not ended (last seal at seq 3, 3 minutes ago)",
			held: held{streams: map[string][]string{"j": append(lines(three...), `{"shipper":{"record":"open","input":"i"},"path":"/events/run.jsonl"}`,
				seal(`,"jobs":[{"jobId":"j","outcome":"unfinished"},{"jobId":"k","outcome":"completed"}]`, three...))}},
		},
		{
			name: "a followed file whose job has ended with a line in parts, altered", want: NotComplete,
			why: "altered: no line is missing, but the digest does not match the seal; give the FILE that holds the original to see which lines differ",
			held: held{streams: map[string][]string{"j": append(append(lines(three[:2]...), inParts(3, three[2])...),
				`{"shipper":{"record":"open","input":"i"},"path":"/events/run.jsonl"}`,
				seal(`,"jobs":[{"jobId":"j","outcome":"completed"}]`, three[0], `{"jobId":"j","n":9,"x":"secret"}`, three[2]))}},
		},
		{
			name: "a followed file whose seal was written in the middle of a line", want: CannotTell, why: "the input has not ended (last seal at seq 2, 3 minutes ago)",
			held: held{streams: map[string][]string{"j": append(append(lines(three[0]), inParts(2, long)...),
				`{"shipper":{"record":"open","input":"i"},"path":"/events/run.jsonl"}`,
				seal(`,"jobs":[{"jobId":"j","outcome":"completed"}]`, three[0], long[:batch.MaxLineBytes]))}},
		},
		{
			name: "masked", held: held{masked: true, group: cloudwatch.Group{Masked: true}, streams: map[string][]string{"j": append(lines(three...), seal(done, three...))}},
			want: CannotTell, why: "a data protection policy of the log group masks some of its text, so the digest differs: use --unmask to read the original, if logs:Unmask is allowed",
		},
		{
			name: "unmasked", unmask: true, want: Complete,
			held: held{masked: true, group: cloudwatch.Group{Masked: true}, streams: map[string][]string{"j": append(lines(three...), seal(done, three...))}},
		},
		{
			name: "the beginning is older than the retention", want: NotComplete, why: "2 missing: 1–2; its beginning is older than the log group's retention of 20 days",
			held: held{group: cloudwatch.Group{RetentionDays: 20}, streams: map[string][]string{"j": append(lines(three...)[2:], seal(done, three...))}},
		},
		{
			name: "the beginning is older than the account's retention", want: NotComplete, why: `1 missing: 1; its beginning is older than the account's (policy "p") retention of 20 days`,
			held: held{group: cloudwatch.Group{RetentionDays: 20, RetentionPolicy: "p"}, streams: map[string][]string{"j": append(lines(three...)[1:], seal(done, three...))}},
		},
		{
			name: "the beginning is younger than the retention", want: NotComplete, why: "1 missing: 1",
			held: held{group: cloudwatch.Group{RetentionDays: 30}, streams: map[string][]string{"j": append(lines(three...)[1:], seal(done, three...))}},
		},
		{
			name: "another class", want: CannotTell, why: "the log group is of class INFREQUENT_ACCESS, which cannot be read back",
			held: held{group: cloudwatch.Group{Class: "INFREQUENT_ACCESS"}},
		},
		{
			name: "nothing, and the group may not be described", want: CannotTell, why: "no event of the job is in the log group: check the job id and --log-stream, or use --search",
			held: held{secret: errors.New("refused")},
		},
		{
			name: "left out", want: Complete,
			held: held{streams: map[string][]string{"j": append(lines(three...), seal(`,"excludedLines":2,"excluded":[[4,5]],"lastSeq":5`+done, three...))}},
		},
		{
			name: "truncated", want: NotComplete, why: "the input was truncated before it was read: at least 1,200 bytes are lost",
			held: held{streams: map[string][]string{"j": append(lines(three...), seal(`,"truncated":{"times":1,"bytes":1200}`+done, three...))}},
		},
		{
			name: "a seal that does not name its streams", want: CannotTell, why: "its seal does not name its log streams",
			held: held{streams: map[string][]string{"j": append(lines(three...), strings.Replace(seal(done, three...), `"streams":["j"]`, `"streams":[]`, 1))}},
		},
		{
			name: "a seal without a digest", want: CannotTell, why: "its seal has no digest",
			held: held{streams: map[string][]string{"j": append(lines(three...), `{"shipper":{"record":"seal","input":"i"},"lastSeq":3,"streams":["j"],"ended":true}`)}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, v := range []Verification{{Jobs: []string{"j"}}, {Since: noon.AddDate(0, 0, -30)}} {
				if v.Jobs == nil && len(test.held.streams) == 0 {
					continue
				}
				v.Unmask, v.Now = test.unmask, func() time.Time { return noon }
				result, err := Verify(t.Context(), test.held.fill(), v, nil)
				if err != nil {
					t.Fatal(err)
				}
				if result.Verdict != test.want && !(v.Jobs == nil && strings.HasPrefix(test.name, "a followed file")) { // its other job has not ended
					t.Errorf("%v: %+v", v.Jobs, result.Jobs[0])
				}
				why := result.Jobs[0].Why
				if len(result.Jobs[0].Inputs) > 0 {
					why = result.Jobs[0].Inputs[0].Why
				}
				if strings.Join(why, "; ") != test.why && !(v.Jobs == nil && strings.HasPrefix(test.name, "a followed file")) {
					t.Errorf("%v: %q\nwant %q", v.Jobs, why, test.why)
				}
			}
		})
	}
}

// A log group that may not be read is an error, not a verdict.
func TestVerifyWithoutPermission(t *testing.T) {
	denied := &smithy.GenericAPIError{Code: "AccessDeniedException"}
	for _, v := range []Verification{{Jobs: []string{"j"}}, {Since: noon}} {
		result, err := Verify(t.Context(), refusing{denied}, v, nil)
		if call, ok := errors.AsType[*readback.CallError](err); !ok || call.Err != denied || result != nil {
			t.Errorf("%+v, %v", result, err)
		}
	}
}

type refusing struct{ err error }

func (r refusing) EventsPage(context.Context, string, cloudwatch.Selection, string) ([]cloudwatch.Event, string, bool, error) {
	return nil, "", false, r.err
}

func (r refusing) StreamsPage(context.Context, string, string) ([]string, string, error) {
	return nil, "", r.err
}

func (r refusing) FilterPage(context.Context, string, string, cloudwatch.Selection, string) ([]cloudwatch.Event, string, error) {
	return nil, "", r.err
}

// Printed text cannot control a terminal, and numbers are printed as people read them.
func TestPrint(t *testing.T) {
	job := &Job{JobID: "j\x1b[2J", Verdict: NotComplete, Inputs: []*Input{
		{ID: "a", Source: "stdout", Lines: 1, Bytes: 1, LastSeq: 1, Verdict: Complete, SHA256: strings.Repeat("0", 64), Repeats: 1},
		{ID: "long.err", Source: "/x\ny", Lines: 1234567, Bytes: 99, LastSeq: 1234567, Verdict: NotComplete, Excluded: 1000, Rejected: [][2]int64{{7, 7}}, Why: []string{"2 missing: 3–4"}, Missing: [][2]int64{{3, 4}}},
	}}
	var out strings.Builder
	if err := errors.Join(PrintJob(&out, job), PrintVerdict(&out, &Result{Verdict: NotComplete, Jobs: []*Job{job}})); err != nil {
		t.Fatal(err)
	}
	want := `job j\x1b[2J  2 inputs  not complete
  a         stdout           1 line    1 byte  seq 1–1          complete  sha256 ` + strings.Repeat("0", 64) + `  1 repeat dropped
  long.err  /x\ny   1,234,567 lines  99 bytes  seq 1–1,234,567  not complete  1,000 left out  refused: 7
  long.err: 2 missing: 3–4
not complete: 2 of 1,234,568 lines are missing
`
	if out.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", &out, want)
	}
}

func TestRangesText(t *testing.T) {
	var many [][2]int64
	for i := range int64(12) {
		many = append(many, [2]int64{10 * i, 10*i + i%2})
	}
	for _, test := range []struct {
		ranges [][2]int64
		want   string
	}{
		{nil, ""}, {[][2]int64{{12, 12}, {40, 41}}, "12, 40–41"},
		{many, "0, 10–11, 20, 30–31, 40, 50–51, 60, 70–71, 80, 90–91 and 2 more ranges"},
	} {
		if got := rangesText(test.ranges); got != test.want {
			t.Errorf("%v: %q, want %q", test.ranges, got, test.want)
		}
	}
}
