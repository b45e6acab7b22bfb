package main

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

type jsonEvent struct {
	Timestamp int64  `json:"timestamp"`
	Message   string `json:"message"`
}

type jsonBody struct {
	Group  string      `json:"logGroupName"`
	Stream string      `json:"logStreamName"`
	Events []jsonEvent `json:"logEvents"`
	Extra  any         `json:"entity,omitempty"`
}

// TestDecodeAgrees: what any body holds is what encoding/json says.
func TestDecodeAgrees(t *testing.T) {
	var d decoder
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.OneOf(rapid.Rune(), rapid.SampledFrom([]rune{'"', '\\', '/', '\n', 1, 0x2028, '🚀', '<'})))
		want := jsonBody{Group: text.Draw(t, "group"), Stream: text.Draw(t, "stream"), Events: []jsonEvent{}}
		for range rapid.IntRange(0, 5).Draw(t, "events") {
			want.Events = append(want.Events, jsonEvent{rapid.Int64Min(0).Draw(t, "time"), text.Draw(t, "message")})
		}
		want.Extra = rapid.SampledFrom([]any{nil, map[string]any{"a": []any{1.5, true, nil, "x", map[string]any{}}}, []any{}}).Draw(t, "extra")
		body, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		if rapid.Bool().Draw(t, "indented") {
			if body, err = json.MarshalIndent(want, "", "\t"); err != nil {
				t.Fatal(err)
			}
		}
		got := jsonBody{Events: []jsonEvent{}}
		got.Group, got.Stream, err = d.body(body, func(timestamp int64, message []byte) error {
			got.Events = append(got.Events, jsonEvent{timestamp, string(message)})
			return nil
		})
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		if err := json.Unmarshal(body, &want); err != nil { // what json makes of bytes that are no text
			t.Fatal(err)
		}
		got.Extra = want.Extra
		if x, y := asJSON(got), asJSON(want); x != y {
			t.Fatalf("%s\nis %s\nnot %s", body, x, y)
		}
	})
}

func TestDecodeRefuses(t *testing.T) {
	var d decoder
	for _, body := range []string{
		``, `[]`, `{`, `{"logEvents":{}}`, `{"logEvents":[{"timestamp":1}]}`, `{"logEvents":[{"message":"m"}]}`,
		`{"logEvents":[{"timestamp":1,"message":"m"}`, `{"logEvents":[{"timestamp":1,"message":"m}]}`, `{"logEvents":[{"timestamp":1,"message":"\x"}]}`,
		`{"logEvents":[{"timestamp":1,"message":"` + "\n" + `"}]}`, `{"logEvents":[{"timestamp":1.5,"message":"m"}]}`, `{"logEvents":[]}x`,
		`{"logEvents":[{"timestamp":1,"message":"\u12"}]}`, `{"a" 1}`, `{"logEvents":[{"timestamp":1,"message":"m"} {}]}`,
	} {
		if _, _, err := d.body([]byte(body), func(int64, []byte) error { return nil }); err == nil {
			t.Errorf("%q was taken", body)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	w := workload{Lines: 1, Jobs: 1}
	var body jsonBody
	for i := range 2000 {
		body.Events = append(body.Events, jsonEvent{int64(i), strings.TrimSuffix(string(w.appendLine(nil, i)), "\n")})
	}
	data := []byte(asJSON(body))
	var d decoder
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := d.body(data, func(int64, []byte) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
