package batch

import (
	"encoding/json"
	"testing"
)

func TestShaperQuick(t *testing.T) {
	in := "{\"type\":\"startRun\",\"timestamp\":1795348705863,\"jobId\":\"j1\",\"runId\":\"r1\"}\nnpm warn \"x\"\n\n{}\n { \"a\":1 } \r\n{\"_aws\":1}\nlast"
	s, err := NewShaper(Shape{Input: "k3v9x2ab", Template: "{jobId}", Hostname: "h", Fields: []Member{{"env", "prod"}}}, State{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var pool Pool
	b := New(&pool)
	s.Begin([]byte(in), 0, 1795348705863, func(int64) int64 { return 1795348705999 }, true)
	var ev Event
	for s.Next(&ev) == Made {
		if !b.Add(&ev, nil) {
			t.Fatal("full")
		}
	}
	t.Log(s.End(), len(in), s.State())
	b.Close()
	body := b.Body(BodyHead("g", "s"), 0, b.Len())
	var out struct {
		LogEvents []struct {
			Timestamp int64
			Message   string
		}
	}
	if err := json.NewDecoder(body).Decode(&out); err != nil {
		t.Fatal(err)
	}
	for _, e := range out.LogEvents {
		r, err := Restore([]byte(e.Message))
		t.Log(e.Timestamp, e.Message, "=>", string(r.Line), err)
	}
}
