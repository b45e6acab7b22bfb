package cwlocal

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// TestQuoteAndScanAreInverse: every text comes back, through our own writer and encoding/json's.
func TestQuoteAndScanAreInverse(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a"\\\x00-\x20é😀]{0,60}`)).Draw(rt, "text")
		ours := appendQuoted(nil, text)
		if !json.Valid(ours) {
			rt.Fatalf("%q is written as %s", text, ours)
		}
		theirs, err := json.Marshal(text)
		if err != nil {
			rt.Fatal(err)
		}
		for _, b := range [][]byte{ours, theirs} {
			s := &scanner{b: b}
			for name, read := range map[string]func([]byte) ([]byte, error){"str": s.str, "message": s.message, "name": func([]byte) ([]byte, error) { return s.name() }} {
				s.i = 0
				got, err := read(make([]byte, 0, len(b)+8))
				if err != nil || string(got) != text || s.i != len(b) {
					rt.Fatalf("%s: %s is read as %q, %v; want %q", name, b, got, err, text)
				}
			}
		}
	})
}

// FuzzScan compares the scanner with encoding/json: both take a body or neither does, and they see the same.
func FuzzScan(f *testing.F) {
	f.Add(aPut)
	f.Add(`{"logGroupName":null,"logEvents":[{"timestamp":-0,"message":"\ud83d\ude00\ud800x"},{}],"x":[1e5,{"a":true}]}`)
	f.Add(`{"logEvents":[],"logEvents":[{"message":"a","message":"b"}]}`)
	f.Add("{\"logStreamName\":\"\\u0000\\b\\/\"\n}\t")
	f.Add(`{"entity":{"keyAttributes":{"a":"b"}},"sequenceToken":null}`)
	f.Fuzz(func(t *testing.T, body string) {
		if !utf8.ValidString(body) {
			return // refused before it is scanned
		}
		type event struct {
			Timestamp *int64  `json:"timestamp"`
			Message   *string `json:"message"`
		}
		// Members are decoded one by one: encoding/json would take names in any case.
		var members map[string]json.RawMessage
		want := json.Unmarshal([]byte(body), &members)
		if trimmed := strings.TrimSpace(body); want == nil && !strings.HasPrefix(trimmed, "{") {
			want = &json.SyntaxError{}
		}
		p := newPut().(*putLogEvents)
		defer p.release()
		got := p.scan([]byte(body))
		if got == nil && want != nil {
			t.Fatalf("taken, but encoding/json says %v", want)
		}
		if got != nil {
			return // stricter: types, whole numbers, depth
		}
		var group string
		if m := members["logGroupName"]; m != nil {
			if err := json.Unmarshal(m, &group); err != nil {
				t.Fatal(err)
			}
		}
		if group != p.group {
			t.Fatalf("group %q, want %q", p.group, group)
		}
		var raw []map[string]json.RawMessage
		if m := members["logEvents"]; m != nil {
			if err := json.Unmarshal(m, &raw); err != nil {
				t.Fatal(err)
			}
		}
		if len(raw) != p.count {
			t.Fatalf("%d events, want %d", p.count, len(raw))
		}
		for i, e := range p.events {
			var w event
			for name, to := range map[string]any{"timestamp": &w.Timestamp, "message": &w.Message} {
				if m := raw[i][name]; m != nil {
					if err := json.Unmarshal(m, to); err != nil {
						t.Fatal(err)
					}
				}
			}
			if w.Timestamp != nil && (!e.hasTimestamp || e.timestamp != *w.Timestamp) {
				t.Fatalf("event %d at %d, want %d", i, e.timestamp, *w.Timestamp)
			}
			if w.Message != nil {
				if e.start < 0 || string(p.data[e.start:e.end]) != *w.Message {
					t.Fatalf("event %d is another", i)
				}
				s := &scanner{b: []byte(`"` + body[e.rawStart:e.rawEnd] + `"`)}
				if again, err := s.str(nil); err != nil || string(again) != *w.Message {
					t.Fatalf("event %d: its JSON is %q", i, body[e.rawStart:e.rawEnd])
				}
			}
		}
	})
}
