package cwlocal

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"pgregory.net/rapid"
)

// filter reads all pages and returns "stream:message" for each event, and the number of pages.
func (e *endpoint) filter(change func(*cloudwatchlogs.FilterLogEventsInput)) (events []string, pages int, err error) {
	in := &cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String(testGroup)}
	if change != nil {
		change(in)
	}
	ids := map[string]bool{}
	for p := cloudwatchlogs.NewFilterLogEventsPaginator(e, in); p.HasMorePages(); pages++ {
		out, err := p.NextPage(e.ctx)
		if err != nil {
			return nil, pages, err
		}
		for _, ev := range out.Events {
			if ids[*ev.EventId] {
				return nil, pages, fmt.Errorf("eventId %s appears twice", *ev.EventId)
			}
			ids[*ev.EventId] = true
			events = append(events, *ev.LogStreamName+":"+*ev.Message)
		}
	}
	return events, pages, nil
}

func (e *endpoint) mustPutTo(stream string, at time.Duration, messages ...string) {
	e.t.Helper()
	for i, m := range messages {
		if _, err := e.putTo(stream, event(at+time.Duration(i)*10*time.Second, m)); err != nil {
			e.t.Fatal(err)
		}
	}
}

func TestFilterInterleaves(t *testing.T) {
	e := start(t, Options{})
	e.create(testGroup, "a", "b", "c", "ab")
	e.mustPutTo("b", 5*time.Second, "2", "4")
	e.mustPutTo("a", 0, "1", "3", "5")
	e.mustPutTo("ab", 5*time.Second, "2")
	at := func(d time.Duration) *int64 { return aws.Int64(testNow.Add(d).UnixMilli()) }
	for _, c := range []struct {
		name   string
		change func(*cloudwatchlogs.FilterLogEventsInput)
		want   string
	}{
		{"all", nil, "a:1 ab:2 b:2 a:3 b:4 a:5"},
		{"streams", func(in *cloudwatchlogs.FilterLogEventsInput) { in.LogStreamNames = []string{"b", "c", "b"} }, "b:2 b:4"},
		{"prefix", func(in *cloudwatchlogs.FilterLogEventsInput) { in.LogStreamNamePrefix = aws.String("a") }, "a:1 ab:2 a:3 a:5"},
		{"start is included", func(in *cloudwatchlogs.FilterLogEventsInput) { in.StartTime = at(10 * time.Second) }, "a:3 b:4 a:5"},
		{"after start", func(in *cloudwatchlogs.FilterLogEventsInput) { in.StartTime = at(10*time.Second + time.Millisecond) }, "b:4 a:5"},
		{"end is included", func(in *cloudwatchlogs.FilterLogEventsInput) { in.EndTime = at(10 * time.Second) }, "a:1 ab:2 b:2 a:3"},
		{"before end", func(in *cloudwatchlogs.FilterLogEventsInput) { in.EndTime = at(10*time.Second - time.Millisecond) }, "a:1 ab:2 b:2"},
		{"pattern", func(in *cloudwatchlogs.FilterLogEventsInput) { in.FilterPattern = aws.String("?2 ?5") }, "ab:2 b:2 a:5"},
		{"identifier", func(in *cloudwatchlogs.FilterLogEventsInput) {
			in.LogGroupName, in.LogGroupIdentifier = nil, aws.String(arnOf("eu-west-1", testGroup))
		}, "a:1 ab:2 b:2 a:3 b:4 a:5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, limit := range []int32{1, 2, 10000} { // the same events on however many pages
				got, pages, err := e.filter(func(in *cloudwatchlogs.FilterLogEventsInput) {
					in.Limit = &limit
					if c.change != nil {
						c.change(in)
					}
				})
				if err != nil {
					t.Fatal(err)
				}
				if s := strings.Join(got, " "); s != c.want {
					t.Errorf("limit %d: %s, want %s", limit, s, c.want)
				}
				if limit == 1 && pages < len(got) {
					t.Errorf("%d events on %d pages of one", len(got), pages)
				}
			}
		})
	}
}

// TestFilterPageBytes fills a page to its limit.
func TestFilterPageBytes(t *testing.T) {
	e := startWithStream(t, Options{})
	big := strings.Repeat("x", 1<<19-26)
	e.mustPut(event(0, big), event(0, big))
	e.mustPut(event(0, "y"))
	got, pages, err := e.filter(nil)
	if err != nil || len(got) != 3 || pages != 2 {
		t.Errorf("%d events on %d pages, %v; want 3 on 2", len(got), pages, err)
	}
}

func TestFilterRefuses(t *testing.T) {
	e := startWithStream(t, Options{})
	names := func(n int) []string {
		return slices.Repeat([]string{testStream}, n)
	}
	for _, c := range []struct {
		name   string
		change func(*cloudwatchlogs.FilterLogEventsInput)
		code   string
		part   string
	}{
		{"no such group", func(in *cloudwatchlogs.FilterLogEventsInput) { in.LogGroupName = aws.String("other") }, "ResourceNotFoundException", "log group"},
		{"no such stream", func(in *cloudwatchlogs.FilterLogEventsInput) { in.LogStreamNames = []string{"other"} }, "ResourceNotFoundException", "log stream"},
		{"names and prefix", func(in *cloudwatchlogs.FilterLogEventsInput) {
			in.LogStreamNames, in.LogStreamNamePrefix = names(1), aws.String("x")
		}, "InvalidParameterException", "not both"},
		{"99 names", func(in *cloudwatchlogs.FilterLogEventsInput) { in.LogStreamNames = names(99) }, "", ""},
		{"100 names", func(in *cloudwatchlogs.FilterLogEventsInput) { in.LogStreamNames = names(100) }, "", ""},
		{"101 names", func(in *cloudwatchlogs.FilterLogEventsInput) { in.LogStreamNames = names(101) }, "InvalidParameterException", "logStreamNames"},
		{"0 names", func(in *cloudwatchlogs.FilterLogEventsInput) { in.LogStreamNames = []string{} }, "InvalidParameterException", "logStreamNames"},
		{"a bad name", func(in *cloudwatchlogs.FilterLogEventsInput) { in.LogStreamNames = []string{"a:b"} }, "InvalidParameterException", "logStreamName"},
		{"a bad prefix", func(in *cloudwatchlogs.FilterLogEventsInput) { in.LogStreamNamePrefix = aws.String("*") }, "InvalidParameterException", "logStreamNamePrefix"},
		{"a bad token", func(in *cloudwatchlogs.FilterLogEventsInput) { in.NextToken = aws.String("nonsense") }, "InvalidParameterException", "nextToken"},
		{"a bad pattern", func(in *cloudwatchlogs.FilterLogEventsInput) { in.FilterPattern = aws.String(`"x`) }, "InvalidParameterException", "double quote"},
		{"a bad JSON pattern", func(in *cloudwatchlogs.FilterLogEventsInput) { in.FilterPattern = aws.String(`{ $.x IS NOT NULL }`) }, "InvalidParameterException", "IS NOT"},
		{"a long pattern", func(in *cloudwatchlogs.FilterLogEventsInput) {
			in.FilterPattern = aws.String(strings.Repeat("x", 1025))
		}, "InvalidParameterException", "1024"},
		{"limit 10001", func(in *cloudwatchlogs.FilterLogEventsInput) { in.Limit = aws.Int32(10001) }, "InvalidParameterException", "limit"},
		{"end -1", func(in *cloudwatchlogs.FilterLogEventsInput) { in.EndTime = aws.Int64(-1) }, "InvalidParameterException", "endTime"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := e.filter(c.change)
			wantCode(t, err, c.code, c.part)
		})
	}
}

// TestFollowing polls like `aws logs tail --follow`: it reads all pages, and then again from the
// newest timestamp, dropping the eventIds seen there.
func TestFollowing(t *testing.T) {
	e := start(t, Options{EmptyPages: true})
	e.create(testGroup, "a", "b")
	var got []string
	in := &cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String(testGroup), StartTime: aws.Int64(testNow.UnixMilli()), Limit: aws.Int32(2)}
	seen := map[string]bool{}
	poll := func() {
		for {
			out, err := e.FilterLogEvents(e.ctx, in)
			if err != nil {
				t.Fatal(err)
			}
			for _, ev := range out.Events {
				if !seen[*ev.EventId] {
					seen[*ev.EventId] = true
					got = append(got, *ev.Message)
				}
				in.StartTime = ev.Timestamp
			}
			if in.NextToken = out.NextToken; in.NextToken == nil {
				return
			}
		}
	}
	e.mustPutTo("a", 0, "1", "2")
	poll()
	e.mustPutTo("b", 10*time.Second, "3", "4") // 3 has the same time as 2
	poll()
	poll()
	e.mustPutTo("a", 20*time.Second, "5") // 5 has the same time as 4
	poll()
	if want := []string{"1", "2", "3", "4", "5"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestFilterByFields selects events by fields of their JSON, across pages and streams.
func TestFilterByFields(t *testing.T) {
	e := start(t, Options{})
	e.create(testGroup, "a", "b")
	e.mustPutTo("a", 0, `{"type":"startRun","stepNumber":1}`, `{"type":"callTools","stepNumber":1}`, "callTools but not JSON")
	e.mustPutTo("b", 5*time.Second, `{"type":"callTools","stepNumber":2}`)
	for pattern, want := range map[string]string{
		`{ $.type = "callTools" }`:                           `b:{"type":"callTools","stepNumber":2} a:{"type":"callTools","stepNumber":1}`,
		`{ $.type = "call*" && $.stepNumber > 1 }`:           `b:{"type":"callTools","stepNumber":2}`,
		`{ $.type = "startRun" || $.stepNumber NOT EXISTS }`: `a:{"type":"startRun","stepNumber":1}`,
		`%step.{6}\x22:2%`:                                   `b:{"type":"callTools","stepNumber":2}`,
	} {
		got, _, err := e.filter(func(in *cloudwatchlogs.FilterLogEventsInput) {
			in.FilterPattern, in.Limit = &pattern, aws.Int32(1)
		})
		if s := strings.Join(got, " "); err != nil || s != want {
			t.Errorf("%s: %s, %v; want %s", pattern, s, err, want)
		}
	}
}

func TestMetricFilterOnMessages(t *testing.T) {
	e := start(t, Options{})
	try := func(pattern string, messages ...string) (string, error) {
		out, err := e.TestMetricFilter(e.ctx, &cloudwatchlogs.TestMetricFilterInput{FilterPattern: &pattern, LogEventMessages: messages})
		if err != nil {
			return "", err
		}
		var b strings.Builder
		for _, m := range out.Matches {
			fmt.Fprintf(&b, "%d %s %v;", m.EventNumber, *m.EventMessage, m.ExtractedValues)
		}
		return b.String(), nil
	}
	got, err := try(`{ $.type = retry && $.usage.totalTokens = * }`, `{"type":"other"}`, `{"type":"retry","usage":{"totalTokens":12}}`, `{"type":"retry"}`)
	if want := `2 {"type":"retry","usage":{"totalTokens":12}} map[$.type:retry $.usage.totalTokens:12];`; err != nil || got != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
	for name, c := range map[string]struct {
		pattern  string
		messages []string
		part     string
	}{
		"a bad pattern":    {"{ $.a EXISTS }", []string{"x"}, "EXISTS is not supported"},
		"51 messages":      {"x", slices.Repeat([]string{"x"}, 51), "logEventMessages"},
		"an empty message": {"x", []string{""}, "logEventMessages"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := try(c.pattern, c.messages...)
			wantCode(t, err, "InvalidParameterException", c.part)
		})
	}
}

// TestFilterMergesStreams compares FilterLogEvents with a plain sort, for arbitrary
// streams and page sizes.
func TestFilterMergesStreams(t *testing.T) {
	e := start(t, Options{})
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		group := fmt.Sprint("g", round)
		streams := []string{"s0", "s1", "s2"}
		e.create(group, streams...)
		type at struct {
			time    int64
			stream  string
			arrival int
		}
		var want []at
		counts := map[string]int{}
		for i, n := 0, rapid.IntRange(0, 30).Draw(rt, "events"); i < n; i++ {
			a := at{testNow.UnixMilli() + rapid.Int64Range(0, 5).Draw(rt, "time"), rapid.SampledFrom(streams).Draw(rt, "stream"), 0}
			a.arrival = counts[a.stream]
			counts[a.stream]++
			p := &putLogEvents{LogGroupName: group, LogStreamName: a.stream, LogEvents: []inputEvent{{&a.time, aws.String(fmt.Sprint(a.arrival))}}}
			if _, err := p.do(e.Server, ""); err != nil {
				rt.Fatal(err)
			}
			want = append(want, a)
		}
		slices.SortFunc(want, func(a, b at) int {
			return crossPlace{timestamp: a.time, stream: a.stream, arrival: a.arrival}.compare(crossPlace{timestamp: b.time, stream: b.stream, arrival: b.arrival})
		})
		limit := rapid.Int32Range(1, 7).Draw(rt, "limit")
		got, _, err := e.filter(func(in *cloudwatchlogs.FilterLogEventsInput) { in.LogGroupName, in.Limit = &group, &limit })
		if err != nil {
			rt.Fatal(err)
		}
		var wanted []string
		for _, a := range want {
			wanted = append(wanted, fmt.Sprintf("%s:%d", a.stream, a.arrival))
		}
		if !slices.Equal(got, wanted) {
			rt.Fatalf("%q, want %q", got, wanted)
		}
		e.DeleteGroup(group)
	})
}
