package main

import (
	"strings"
	"testing"
)

type jsonEvent struct {
	Timestamp int64  `json:"timestamp"`
	Message   string `json:"message"`
}

type jsonBody struct {
	Group  string      `json:"logGroupName"`
	Stream string      `json:"logStreamName"`
	Events []jsonEvent `json:"logEvents"`
}

func TestDecodeRefuses(t *testing.T) {
	for _, body := range []string{
		``, `[]`, `{"logEvents":{}}`, `{"logEvents":[{"timestamp":1}]}`, `{"logEvents":[{"message":"m"}]}`, `{"logEvents":[null]}`,
		`{"logEvents":[{"timestamp":1.5,"message":"m"}]}`, `{"logEvents":[]}x`,
	} {
		if err := decodeBody([]byte(body), func(int64, []byte) error { return nil }); err == nil {
			t.Errorf("%q was accepted", body)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	w := workload{Lines: 1, Jobs: 1}
	var put jsonBody
	for i := range 2000 {
		put.Events = append(put.Events, jsonEvent{int64(i), strings.TrimSuffix(string(w.appendLine(nil, i)), "\n")})
	}
	body := []byte(asJSON(put))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if err := decodeBody(body, func(int64, []byte) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
