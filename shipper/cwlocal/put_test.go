package cwlocal

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"perstack-shipper/batch"
)

func TestPutAndGetThroughTheSDK(t *testing.T) {
	e := startWithStream(t, Options{})
	texts := []string{"plain", "\x00\x1f\"\\/\b\f\n\r\t", "é 日本 \U0001F600 \u2028", strings.Repeat("long ", 1000)}
	var events []types.InputLogEvent
	for i, m := range texts {
		events = append(events, event(time.Duration(i)*time.Second, m))
	}
	e.mustPut(events...)
	out, err := e.GetLogEvents(e.ctx, &cloudwatchlogs.GetLogEventsInput{LogGroupName: aws.String(testGroup), LogStreamName: aws.String(testStream), StartFromHead: aws.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Events) != len(texts) {
		t.Fatalf("%d events, want %d", len(out.Events), len(texts))
	}
	for i, ev := range out.Events {
		if *ev.Message != texts[i] || *ev.Timestamp != *events[i].Timestamp || *ev.IngestionTime != testNow.UnixMilli() {
			t.Errorf("event %d: %q at %d, ingested %d", i, *ev.Message, *ev.Timestamp, *ev.IngestionTime)
		}
	}
}

// TestLimits puts batches just below, at and just above each limit.
func TestLimits(t *testing.T) {
	many := func(n int) []types.InputLogEvent {
		events := make([]types.InputLogEvent, n)
		for i := range events {
			events[i] = event(0, "x")
		}
		return events
	}
	sized := func(sizes ...int) []types.InputLogEvent {
		var events []types.InputLogEvent
		for _, n := range sizes {
			events = append(events, event(0, strings.Repeat("x", n)))
		}
		return events
	}
	const half = batch.MaxBatchBytes / 2
	const day = 24 * time.Hour
	for _, c := range []struct {
		name   string
		events []types.InputLogEvent
		part   string // text in the refusal's message; "": accepted
	}{
		{"one event, limit-1", sized(batch.MaxEventBytes - 1), ""},
		{"one event, limit", sized(batch.MaxEventBytes), ""},
		{"one event, limit+1", sized(batch.MaxEventBytes + 1), "Log event too large: 1048577 bytes"},
		{"multi-byte event, limit", []types.InputLogEvent{event(0, strings.Repeat("é", batch.MaxEventBytes/2))}, ""},
		{"multi-byte event, limit+1", []types.InputLogEvent{event(0, "x"+strings.Repeat("é", batch.MaxEventBytes/2))}, "Log event too large"},
		{"control characters, limit", []types.InputLogEvent{event(0, strings.Repeat("\x01", batch.MaxEventBytes))}, ""},
		{"batch bytes, limit-1", sized(half-26, half-26-1), ""},
		{"batch bytes, limit", sized(half-26, half-26), ""},
		{"batch bytes, limit+1", sized(half-26, half-26+1), "Upload too large: 1048577 bytes"},
		{"batch bytes counts 26 an event, limit", append(many(9999), sized(batch.MaxBatchBytes-9999*27-26)...), ""},
		{"batch bytes counts 26 an event, limit+1", append(many(9999), sized(batch.MaxBatchBytes-9999*27-26+1)...), "Upload too large: 1048577 bytes"},
		{"events, 1", many(1), ""},
		{"events, limit-1", many(batch.MaxBatchEvents - 1), ""},
		{"events, limit", many(batch.MaxBatchEvents), ""},
		{"events, limit+1", many(batch.MaxBatchEvents + 1), "less than or equal to 10000"},
		{"no events", []types.InputLogEvent{}, "greater than or equal to 1"},
		{"empty message", sized(1, 0), "'logEvents.2.member.message'"},
		{"one byte", sized(1), ""},
		{"time 0", []types.InputLogEvent{{Timestamp: aws.Int64(0), Message: aws.String("x")}}, ""},
		{"time -1", []types.InputLogEvent{{Timestamp: aws.Int64(-1), Message: aws.String("x")}}, "'logEvents.1.member.timestamp'"},
		{"same time", []types.InputLogEvent{event(0, "a"), event(0, "b")}, ""},
		{"1 ms back", []types.InputLogEvent{event(0, "a"), event(-time.Millisecond, "b")}, "chronological order"},
		{"span, limit-1", []types.InputLogEvent{event(-day, "a"), event(-time.Millisecond, "b")}, ""},
		{"span, limit", []types.InputLogEvent{event(-day, "a"), event(0, "b")}, ""},
		{"span, limit+1", []types.InputLogEvent{event(-day, "a"), event(time.Millisecond, "b")}, "24 hours"},
		{"span over events that are too old anyway", []types.InputLogEvent{event(-20*day, "a"), event(0, "b")}, ""},
		{"span over events that are too new anyway", []types.InputLogEvent{event(0, "a"), event(30*day, "b")}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := startWithStream(t, Options{})
			_, err := e.put(c.events...)
			if c.part == "" {
				wantCode(t, err, "", "")
				return
			}
			wantCode(t, err, "InvalidParameterException", c.part)
			if n := len(e.Events(testGroup, testStream)); n != 0 {
				t.Errorf("%d events of a refused batch were stored", n)
			}
			if n := e.Stats().Batches; n != 0 {
				t.Errorf("%d batches counted as accepted", n)
			}
		})
	}
}

// TestRejected puts events at the limits of too old, expired and too new.
func TestRejected(t *testing.T) {
	const day, ms = 24 * time.Hour, time.Millisecond
	for _, c := range []struct {
		name      string
		retention int32
		at        []time.Duration
		kept      string
		info      string // tooOld expired tooNew, "-" for none
	}{
		{"14 days less 1 ms", 0, []time.Duration{-14*day + ms}, "0", "- - -"},
		{"14 days", 0, []time.Duration{-14 * day}, "0", "- - -"},
		{"14 days and 1 ms", 0, []time.Duration{-14*day - ms}, "", "1 - -"},
		{"2 h less 1 ms", 0, []time.Duration{2*time.Hour - ms}, "0", "- - -"},
		{"2 h", 0, []time.Duration{2 * time.Hour}, "0", "- - -"},
		{"2 h and 1 ms", 0, []time.Duration{2*time.Hour + ms}, "", "- - 0"},
		{"old, good, new", 0, []time.Duration{-20 * day, -15 * day, 0, time.Hour, 3 * time.Hour}, "2|3", "2 - 4"},
		{"old and new, none good", 0, []time.Duration{-15 * day, 3 * time.Hour}, "", "1 - 1"},
		{"retention less 1 ms", 3, []time.Duration{-3*day + ms}, "0", "- - -"},
		{"retention", 3, []time.Duration{-3 * day}, "0", "- - -"},
		{"retention and 1 ms", 3, []time.Duration{-3*day - ms}, "", "- 1 -"},
		{"old, expired, good", 1, []time.Duration{-15 * day, -30 * time.Hour, -20 * time.Hour}, "2", "1 2 -"},
		{"retention over 14 days", 30, []time.Duration{-15 * day, 0}, "1", "1 - -"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := startWithStream(t, Options{})
			if c.retention > 0 {
				if _, err := e.PutRetentionPolicy(e.ctx, &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: aws.String(testGroup), RetentionInDays: &c.retention}); err != nil {
					t.Fatal(err)
				}
			}
			var events []types.InputLogEvent
			for i, d := range c.at {
				events = append(events, event(d, fmt.Sprint(i)))
			}
			out, err := e.put(events...)
			if err != nil {
				t.Fatal(err)
			}
			if got := e.messages(); got != c.kept {
				t.Errorf("kept %q, want %q", got, c.kept)
			}
			info := out.RejectedLogEventsInfo
			if c.info == "- - -" {
				if info != nil {
					t.Errorf("rejected %+v, want none", info)
				}
				return
			}
			if info == nil {
				t.Fatalf("nothing rejected, want %s", c.info)
			}
			show := func(i *int32) string {
				if i == nil {
					return "-"
				}
				return fmt.Sprint(*i)
			}
			if got := show(info.TooOldLogEventEndIndex) + " " + show(info.ExpiredLogEventEndIndex) + " " + show(info.TooNewLogEventStartIndex); got != c.info {
				t.Errorf("rejected %s, want %s", got, c.info)
			}
			kept := 0
			if c.kept != "" {
				kept = strings.Count(c.kept, "|") + 1
			}
			if n := e.Stats().Rejected; n != int64(len(c.at)-kept) {
				t.Errorf("%d counted as rejected", n)
			}
		})
	}
}

func TestPutDistinguishesGroupAndStream(t *testing.T) {
	e := start(t, Options{})
	_, err := e.put(event(0, "x"))
	wantCode(t, err, "ResourceNotFoundException", "log group does not exist")
	e.create(testGroup)
	_, err = e.put(event(0, "x"))
	wantCode(t, err, "ResourceNotFoundException", "log stream does not exist")
	e.DeleteGroup(testGroup)
	e.create(testGroup, testStream)
	e.mustPut(event(0, "x"))
	if !e.DeleteStream(testGroup, testStream) || e.DeleteStream(testGroup, testStream) {
		t.Error("DeleteStream does not report whether the stream existed")
	}
	_, err = e.put(event(0, "x"))
	wantCode(t, err, "ResourceNotFoundException", "log stream does not exist")
}
