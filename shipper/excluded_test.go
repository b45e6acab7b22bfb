package shipper

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/audit/proof"
	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/readback"
	"perstack-shipper/shipper/readback/readbacktest"
)

// Whatever --exclude-type leaves out, logs returns exactly the other lines, and verify finds them
// complete, with and without a copy of the input.
func TestExcludedInputIsComplete(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		shape := batch.Shape{Input: "k3v9x2ab", Template: "{jobId}", Hostname: "host", JobID: "j"}
		shape.ExcludeTypes = rapid.SliceOfN(rapid.SampledFrom([]string{"stream*", "text", "a", "*", "[b-z]*"}), 1, 3).Draw(t, "exclude")
		input := []byte(`{"type":7}` + "\n") // never left out, and opens the stream
		kept := bytes.Clone(input)
		n := rapid.IntRange(1, 12).Draw(t, "lines")
		long := -1 // one input in ten has a line so long that it is shipped in parts
		if rapid.IntRange(0, 9).Draw(t, "one is long") == 9 {
			long = rapid.IntRange(0, n-1).Draw(t, "the long line")
		}
		for i := range n {
			line := rapid.SampledFrom([]string{
				"", "npm warn", "{", "[1]", `{"type":"streamText","x":1}`, `{"type":"a"}`, `{"type":"b","usage":{"totalTokens":1}}`, `{"type":"text"}`, `{}`, `{"type":7}`, `{"type":"cut`,
			}).Draw(t, "line")
			if i == long {
				line = `{"type":"b","x":"` + strings.Repeat("x", batch.MaxEventBytes) + `"}`
			}
			if i < n-1 || line == "" || rapid.Bool().Draw(t, "newline") {
				line += "\n"
			}
			input = append(input, line...)
			if !leftOut(shape.ExcludeTypes, strings.TrimSuffix(line, "\n")) {
				kept = append(kept, line...)
			}
		}
		held, at := shipExcluded(t, shape, input)
		now := func() time.Time { return time.UnixMilli(at) }
		file := path.Join(dir, "original")
		if err := os.WriteFile(file, input, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, originals := range [][]string{nil, {file}} {
			result, err := proof.Verify(t.Context(), held, proof.Verification{Jobs: []string{"j"}, Originals: originals, Now: now}, nil)
			if err != nil || result.Verdict != proof.Complete {
				t.Fatalf("verify with originals %q: %+v (%v)", originals, result, err)
			}
		}
		var out bytes.Buffer
		if _, err := readback.Lines(t.Context(), held, readback.Query{Job: "j", StreamTemplate: shape.Template}, &out); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(out.Bytes(), kept) {
			t.Fatalf("got %.300q back, want %.300q", out.Bytes(), kept)
		}
	})
}

// leftOut reports whether a line should be left out.
func leftOut(globs []string, line string) bool {
	typ := "text"
	var members map[string]any
	if line == "" {
		return false
	}
	if json.Unmarshal([]byte(line), &members) == nil {
		var named bool
		if typ, named = members["type"].(string); !named {
			return false
		}
	}
	for _, glob := range globs {
		if match, err := path.Match(glob, typ); match && err == nil {
			return true
		}
	}
	return false
}

// shipExcluded returns what a log group has of an ended input, and when it was put there.
func shipExcluded(t *rapid.T, shape batch.Shape, data []byte) (readbacktest.Held, int64) {
	shaper, err := batch.NewShaper(shape, batch.State{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	now := int64(1795348800000)
	held := readbacktest.Held{}
	hold := func(stream, message string) {
		held[stream] = append(held[stream], cloudwatch.Event{Stream: stream, Time: now, Ingested: now, Message: message})
	}
	var pool batch.Pool
	var ev batch.Event
	shaper.Begin(data, 0, now, func(int64) int64 { return now }, true)
	for shaper.Next(&ev) == batch.Made {
		b := batch.New(&pool)
		b.Add(&ev, nil)
		b.Close()
		var body struct {
			LogEvents []struct{ Message string }
		}
		raw, err := io.ReadAll(b.Body(batch.BodyHead("g", "j"), 0, 1))
		if err != nil || json.Unmarshal(raw, &body) != nil {
			t.Fatalf("%v: %.300q", err, raw)
		}
		hold(shaper.Streams()[ev.Route], body.LogEvents[0].Message)
		b.Release()
	}
	shaper.End()
	in := &input{Input: Input{Shape: shape}, shaper: shaper}
	seal, _, err := in.sealMessages(now, true)
	if err != nil {
		t.Fatal(err)
	}
	hold(shaper.Streams()[0], string(seal))
	return held, now
}
