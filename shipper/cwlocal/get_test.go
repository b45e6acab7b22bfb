package cwlocal

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

// get reads a page of the tests' stream.
func (e *endpoint) get(change func(*cloudwatchlogs.GetLogEventsInput)) (*cloudwatchlogs.GetLogEventsOutput, error) {
	in := &cloudwatchlogs.GetLogEventsInput{LogGroupName: aws.String(testGroup), LogStreamName: aws.String(testStream)}
	if change != nil {
		change(in)
	}
	return e.GetLogEvents(e.ctx, in)
}

func (e *endpoint) mustGet(change func(*cloudwatchlogs.GetLogEventsInput)) *cloudwatchlogs.GetLogEventsOutput {
	e.t.Helper()
	out, err := e.get(change)
	if err != nil {
		e.t.Fatal(err)
	}
	return out
}

// texts returns the messages of a page.
func texts(events []types.OutputLogEvent) string {
	var all []string
	for _, ev := range events {
		all = append(all, *ev.Message)
	}
	return strings.Join(all, "|")
}

// numbered returns n events a second apart, with the messages 0, 1, …
func numbered(n int) []types.InputLogEvent {
	var events []types.InputLogEvent
	for i := range n {
		events = append(events, event(time.Duration(i)*time.Second, fmt.Sprint(i)))
	}
	return events
}

func TestGetPagesForwardAndBackward(t *testing.T) {
	e := startWithStream(t, Options{})
	e.mustPut(numbered(7)...)

	var pages []string
	var token *string
	for {
		out := e.mustGet(func(in *cloudwatchlogs.GetLogEventsInput) {
			in.StartFromHead, in.Limit, in.NextToken = aws.Bool(true), aws.Int32(3), token
		})
		pages = append(pages, texts(out.Events))
		if token != nil && *out.NextForwardToken == *token {
			break
		}
		token = out.NextForwardToken
	}
	if want := []string{"0|1|2", "3|4|5", "6", ""}; !slices.Equal(pages, want) {
		t.Errorf("forward %q, want %q", pages, want)
	}

	pages, token = nil, nil
	for {
		out := e.mustGet(func(in *cloudwatchlogs.GetLogEventsInput) { in.Limit, in.NextToken = aws.Int32(3), token })
		pages = append(pages, texts(out.Events))
		if token != nil && *out.NextBackwardToken == *token {
			break
		}
		token = out.NextBackwardToken
	}
	if want := []string{"4|5|6", "1|2|3", "0", ""}; !slices.Equal(pages, want) {
		t.Errorf("backward %q, want %q", pages, want)
	}

	// Turning around shows the same events again and skips none.
	first := e.mustGet(func(in *cloudwatchlogs.GetLogEventsInput) { in.StartFromHead, in.Limit = aws.Bool(true), aws.Int32(3) })
	second := e.mustGet(func(in *cloudwatchlogs.GetLogEventsInput) {
		in.NextToken, in.Limit = first.NextForwardToken, aws.Int32(3)
	})
	back := e.mustGet(func(in *cloudwatchlogs.GetLogEventsInput) {
		in.NextToken, in.Limit = second.NextBackwardToken, aws.Int32(3)
	})
	if texts(back.Events) != texts(first.Events) {
		t.Errorf("going back from %q, got %q, want %q", texts(second.Events), texts(back.Events), texts(first.Events))
	}
}

// TestTokensStayValid continues reading after events have arrived before and after the token's
// place.
func TestTokensStayValid(t *testing.T) {
	e := startWithStream(t, Options{})
	e.mustPut(event(10*time.Second, "a"), event(20*time.Second, "b"))
	out := e.mustGet(func(in *cloudwatchlogs.GetLogEventsInput) { in.StartFromHead, in.Limit = aws.Bool(true), aws.Int32(1) })
	e.mustPut(event(5*time.Second, "earlier"), event(15*time.Second, "between"), event(30*time.Second, "later"))
	out = e.mustGet(func(in *cloudwatchlogs.GetLogEventsInput) { in.NextToken = out.NextForwardToken })
	if got := texts(out.Events); got != "between|b|later" {
		t.Errorf("continued reading: %q", got)
	}
	end := out.NextForwardToken
	if out = e.mustGet(func(in *cloudwatchlogs.GetLogEventsInput) { in.NextToken = end }); *out.NextForwardToken != *end || len(out.Events) != 0 {
		t.Errorf("the end: %q, token changed: %v", texts(out.Events), *out.NextForwardToken != *end)
	}
	e.mustPut(event(40*time.Second, "new"))
	if out = e.mustGet(func(in *cloudwatchlogs.GetLogEventsInput) { in.NextToken = end }); texts(out.Events) != "new" {
		t.Errorf("after the end: %q", texts(out.Events))
	}
}

func TestGetFromAnEmptyStream(t *testing.T) {
	e := startWithStream(t, Options{})
	out := e.mustGet(func(in *cloudwatchlogs.GetLogEventsInput) { in.StartFromHead = aws.Bool(true) })
	if out.NextForwardToken == nil || out.NextBackwardToken == nil || len(out.Events) != 0 {
		t.Fatalf("%+v", out)
	}
	token := out.NextForwardToken
	e.mustPut(event(0, "x"))
	if out = e.mustGet(func(in *cloudwatchlogs.GetLogEventsInput) { in.NextToken = token }); texts(out.Events) != "x" {
		t.Errorf("then %q", texts(out.Events))
	}
}

// TestReadingOrder puts batches that overlap in time. They are read by timestamp, then ingestion
// time, then arrival.
func TestReadingOrder(t *testing.T) {
	now := testNow
	e := startWithStream(t, Options{Now: func() time.Time { return now }})
	e.mustPut(event(2*time.Second, "c1"), event(2*time.Second, "c2"), event(4*time.Second, "e"))
	if got := e.messages(); got != "c1|c2|e" {
		t.Fatalf("in order: %q", got)
	}
	now = now.Add(time.Second)
	e.mustPut(event(time.Second, "b"), event(2*time.Second, "c3"))
	e.mustPut(event(2*time.Second, "c4"), event(3*time.Second, "d"))
	if got := e.messages(); got != "b|c1|c2|c3|c4|d|e" {
		t.Fatalf("out of order: %q", got)
	}
	now = testNow // the clock goes backwards
	e.mustPut(event(2*time.Second, "c2a"))
	if got := e.messages(); got != "b|c1|c2|c2a|c3|c4|d|e" {
		t.Errorf("after the clock went backwards: %q", got)
	}
	if got := texts(e.mustGet(nil).Events); got != "b|c1|c2|c2a|c3|c4|d|e" {
		t.Errorf("read back: %q", got)
	}
}

func TestGetTimes(t *testing.T) {
	e := startWithStream(t, Options{})
	e.mustPut(numbered(5)...)
	at := func(d time.Duration) *int64 { return aws.Int64(testNow.Add(d).UnixMilli()) }
	for _, c := range []struct {
		from, to *int64
		want     string
	}{
		{nil, nil, "0|1|2|3|4"},
		{at(2 * time.Second), nil, "2|3|4"}, // the start is inclusive
		{at(2*time.Second + time.Millisecond), nil, "3|4"},
		{nil, at(2 * time.Second), "0|1"}, // the end is exclusive
		{nil, at(2*time.Second + time.Millisecond), "0|1|2"},
		{at(time.Second), at(3 * time.Second), "1|2"},
		{at(3 * time.Second), at(time.Second), ""},
	} {
		for _, head := range []bool{true, false} {
			out := e.mustGet(func(in *cloudwatchlogs.GetLogEventsInput) {
				in.StartTime, in.EndTime, in.StartFromHead = c.from, c.to, &head
			})
			if got := texts(out.Events); got != c.want {
				t.Errorf("%v to %v, from head %v: %q, want %q", c.from, c.to, head, got, c.want)
			}
		}
	}
}

// TestGetPageLimits fills pages to their limits in bytes and in events.
func TestGetPageLimits(t *testing.T) {
	e := startWithStream(t, Options{})
	big := strings.Repeat("x", 1<<19-26)
	e.mustPut(event(0, big), event(0, big))
	e.mustPut(event(0, "y"))
	out := e.mustGet(func(in *cloudwatchlogs.GetLogEventsInput) { in.StartFromHead = aws.Bool(true) })
	if len(out.Events) != 2 {
		t.Errorf("%d events on a page of 1 MiB, want 2", len(out.Events))
	}
	if out = e.mustGet(func(in *cloudwatchlogs.GetLogEventsInput) { in.NextToken = out.NextForwardToken }); texts(out.Events) != "y" {
		t.Errorf("the next page: %d events", len(out.Events))
	}

	e.create("/many", testStream)
	for range 2 {
		events := make([]types.InputLogEvent, 5001)
		for i := range events {
			events[i] = event(0, "x")
		}
		if _, err := e.PutLogEvents(e.ctx, &cloudwatchlogs.PutLogEventsInput{LogGroupName: aws.String("/many"), LogStreamName: aws.String(testStream), LogEvents: events}); err != nil {
			t.Fatal(err)
		}
	}
	out = e.mustGet(func(in *cloudwatchlogs.GetLogEventsInput) {
		in.LogGroupName, in.StartFromHead = aws.String("/many"), aws.Bool(true)
	})
	if len(out.Events) != 10000 {
		t.Errorf("%d events on a page, want 10000", len(out.Events))
	}
}

func TestGetRefuses(t *testing.T) {
	e := startWithStream(t, Options{})
	e.mustPut(event(0, "x"))
	valid := *e.mustGet(nil).NextForwardToken
	for _, c := range []struct {
		name   string
		change func(*cloudwatchlogs.GetLogEventsInput)
		code   string
		part   string
	}{
		{"no group of that name", func(in *cloudwatchlogs.GetLogEventsInput) { in.LogGroupName = aws.String("other") }, "ResourceNotFoundException", "log group"},
		{"no stream of that name", func(in *cloudwatchlogs.GetLogEventsInput) { in.LogStreamName = aws.String("other") }, "ResourceNotFoundException", "log stream"},
		{"limit 0", func(in *cloudwatchlogs.GetLogEventsInput) { in.Limit = aws.Int32(0) }, "InvalidParameterException", "limit"},
		{"limit 1", func(in *cloudwatchlogs.GetLogEventsInput) { in.Limit = aws.Int32(1) }, "", ""},
		{"limit 10000", func(in *cloudwatchlogs.GetLogEventsInput) { in.Limit = aws.Int32(10000) }, "", ""},
		{"limit 10001", func(in *cloudwatchlogs.GetLogEventsInput) { in.Limit = aws.Int32(10001) }, "InvalidParameterException", "limit"},
		{"start -1", func(in *cloudwatchlogs.GetLogEventsInput) { in.StartTime = aws.Int64(-1) }, "InvalidParameterException", "startTime"},
		{"end -1", func(in *cloudwatchlogs.GetLogEventsInput) { in.EndTime = aws.Int64(-1) }, "InvalidParameterException", "endTime"},
		{"a token of nowhere", func(in *cloudwatchlogs.GetLogEventsInput) { in.NextToken = aws.String("nonsense") }, "InvalidParameterException", "nextToken"},
		{"a token of another form", func(in *cloudwatchlogs.GetLogEventsInput) { in.NextToken = aws.String("x" + valid[1:]) }, "InvalidParameterException", "nextToken"},
		{"name and identifier", func(in *cloudwatchlogs.GetLogEventsInput) { in.LogGroupIdentifier = aws.String(testGroup) }, "InvalidParameterException", "not both"},
		{"neither", func(in *cloudwatchlogs.GetLogEventsInput) { in.LogGroupName = nil }, "InvalidParameterException", "not both"},
		{"identifier: a name", func(in *cloudwatchlogs.GetLogEventsInput) {
			in.LogGroupName, in.LogGroupIdentifier = nil, aws.String(testGroup)
		}, "", ""},
		{"identifier: an ARN", func(in *cloudwatchlogs.GetLogEventsInput) {
			in.LogGroupName, in.LogGroupIdentifier = nil, aws.String(arnOf("eu-west-1", testGroup))
		}, "", ""},
		{"identifier: an ARN that ends in *", func(in *cloudwatchlogs.GetLogEventsInput) {
			in.LogGroupName, in.LogGroupIdentifier = nil, aws.String(arnOf("eu-west-1", testGroup)+":*")
		}, "InvalidParameterException", "logGroupIdentifier"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := e.get(c.change)
			wantCode(t, err, c.code, c.part)
		})
	}
}

// TestEmptyPages reads a stream whose every page is preceded by an empty one, in both directions.
func TestEmptyPages(t *testing.T) {
	e := startWithStream(t, Options{EmptyPages: true})
	e.mustPut(numbered(5)...)
	for _, head := range []bool{true, false} {
		var got []string
		var token *string
		for empty, full := 0, 0; ; {
			out := e.mustGet(func(in *cloudwatchlogs.GetLogEventsInput) {
				in.Limit, in.NextToken, in.StartFromHead = aws.Int32(2), token, &head
			})
			next := out.NextForwardToken
			if !head {
				next = out.NextBackwardToken
			}
			if len(out.Events) == 0 {
				empty++
			} else if full++; empty != full {
				t.Fatalf("head %v: page %d has events, after %d empty pages", head, full, empty)
			}
			for _, ev := range out.Events {
				got = append(got, *ev.Message)
			}
			if token != nil && *next == *token {
				break
			}
			token = next
		}
		want := []string{"0", "1", "2", "3", "4"}
		if !head {
			want = []string{"3", "4", "1", "2", "0"}
		}
		if !slices.Equal(got, want) {
			t.Errorf("head %v: %q, want %q", head, got, want)
		}
	}
	var got []string
	pages := cloudwatchlogs.NewFilterLogEventsPaginator(e, &cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String(testGroup), Limit: aws.Int32(2)})
	n := 0
	for ; pages.HasMorePages(); n++ {
		out, err := pages.NextPage(e.ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, ev := range out.Events {
			got = append(got, *ev.Message)
		}
	}
	if want := []string{"0", "1", "2", "3", "4"}; !slices.Equal(got, want) || n != 6 {
		t.Errorf("FilterLogEvents: %q on %d pages, want %q on 6", got, n, want)
	}
}

// TestReadableAfter checks that events are hidden right after they were accepted.
func TestReadableAfter(t *testing.T) {
	now := testNow
	e := startWithStream(t, Options{Now: func() time.Time { return now }, ReadableAfter: 2 * time.Second})
	e.mustPut(event(0, "x"))
	out := e.mustGet(func(in *cloudwatchlogs.GetLogEventsInput) { in.StartFromHead = aws.Bool(true) })
	if len(out.Events) != 0 {
		t.Errorf("visible at once: %q", texts(out.Events))
	}
	if got := e.messages(); got != "x" {
		t.Errorf("Events hides it: %q", got)
	}
	now = now.Add(2 * time.Second)
	if out = e.mustGet(func(in *cloudwatchlogs.GetLogEventsInput) { in.NextToken = out.NextForwardToken }); texts(out.Events) != "x" {
		t.Errorf("after 2 s: %q", texts(out.Events))
	}
}
