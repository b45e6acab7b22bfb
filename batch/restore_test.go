package batch_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"perstack-shipper/batch"
)

func TestRestoreForms(t *testing.T) {
	for _, c := range []struct {
		name, message string
		line          string
		want          batch.Restored // without Line and ShipperMember
	}{
		{
			name:    "object",
			message: `{"shipper":{"input":"k3v9x2ab","seq":15},"type":"completeRun","id":"x","timestamp":1795347082176,"jobId":"uo5p","runId":"r1"}`,
			line:    `{"type":"completeRun","id":"x","timestamp":1795347082176,"jobId":"uo5p","runId":"r1"}`,
			want:    batch.Restored{Input: "k3v9x2ab", Seq: 15, Type: "completeRun", JobID: "uo5p", RunID: "r1"},
		},
		{
			name:    "white space and a carriage return",
			message: " \t{\"shipper\":{\"input\":\"i\",\"seq\":1}, \"a\" : 1 } \r",
			line:    " \t{ \"a\" : 1 } \r",
			want:    batch.Restored{Input: "i", Seq: 1},
		},
		{
			name:    "no members",
			message: `{"shipper":{"input":"i","seq":1}}`,
			line:    `{}`,
			want:    batch.Restored{Input: "i", Seq: 1},
		},
		{
			name:    "no members but white space",
			message: "\t{\"shipper\":{\"input\":\"i\",\"seq\":1} \t} \r",
			line:    "\t{ \t} \r",
			want:    batch.Restored{Input: "i", Seq: 1},
		},
		{
			name:    "an id added",
			message: `{"shipper":{"input":"i","seq":15,"added":["jobId"]},"jobId":"a\"\u00e9\ud83d\ude00","type":"x"}`,
			line:    `{"type":"x"}`,
			want:    batch.Restored{Input: "i", Seq: 15, Added: []string{"jobId"}, Type: "x", JobID: "a\"é😀"},
		},
		{
			name:    "both ids added to an object that begins with white space",
			message: `{"shipper":{"input":"i","seq":15,"added":["jobId","runId"]},"jobId":"j","runId":"r", "type":"x"}`,
			line:    `{ "type":"x"}`,
			want:    batch.Restored{Input: "i", Seq: 15, Added: []string{"jobId", "runId"}, Type: "x", JobID: "j", RunID: "r"},
		},
		{
			name:    "an id added to no members",
			message: `{"shipper":{"input":"i","seq":1,"added":["jobId","runId"]},"jobId":"j","runId":"r" } `,
			line:    `{ } `,
			want:    batch.Restored{Input: "i", Seq: 1, Added: []string{"jobId", "runId"}, JobID: "j", RunID: "r"},
		},
		{
			name:    "an id added to a line whose own is no string",
			message: `{"shipper":{"input":"i","seq":1,"added":["jobId"]},"jobId":"j","jobId":7}`,
			line:    `{"jobId":7}`,
			want:    batch.Restored{Input: "i", Seq: 1, Added: []string{"jobId"}, JobID: "j"},
		},
		{
			name:    "a member named shipper in the line, one of ours as a text, and ids deeper down",
			message: `{"shipper":{"input":"i","seq":2},"shipper":{"input":"z","seq":9,"text":true},"jobId":"j","x":{"jobId":"no","y":["}",{"runId":"no"}]},"s":"{\"shipper\":{}"}`,
			line:    `{"shipper":{"input":"z","seq":9,"text":true},"jobId":"j","x":{"jobId":"no","y":["}",{"runId":"no"}]},"s":"{\"shipper\":{}"}`,
			want:    batch.Restored{Input: "i", Seq: 2, JobID: "j"},
		},
		{
			name:    "ids spelled with escapes, twice, and no string",
			message: `{"shipper":{"input":"i","seq":2},"job\u0049d":"a","type":"one","type":"two","runId":7}`,
			line:    `{"job\u0049d":"a","type":"one","type":"two","runId":7}`,
			want:    batch.Restored{Input: "i", Seq: 2, JobID: "a", Type: "two"},
		},
		{
			name: "all that shipper can hold, with fields that look like its end",
			message: `{"shipper":{"input":"i.err","seq":9,"empty":3,"source":"stderr","added":["runId"],"lossy":true,"newline":false,"at":-5,` +
				`"env":"\"}},{\\","team":"{[","n":{"seq":1}},"runId":"r","a":1}`,
			line: `{"a":1}`,
			want: batch.Restored{Input: "i.err", Seq: 9, Empty: 3, Source: "stderr", Added: []string{"runId"}, Lossy: true, NoNewline: true, At: -5, RunID: "r"},
		},
		{
			name:    "a time that is no whole number",
			message: `{"shipper":{"input":"i","seq":9,"at":1e30},"a":1}`,
			line:    `{"a":1}`,
			want:    batch.Restored{Input: "i", Seq: 9},
		},
		{
			name:    "text",
			message: `{"shipper":{"input":"i","seq":3,"text":true},"type":"text","timestamp":1795347082176,"jobId":"j","runId":"r","message":"npm warn \"x\" \u001b[1m\\ \/\b\f\n\r\t\ud83d\ude00日\u0000\u2028"}`,
			line:    "npm warn \"x\" \x1b[1m\\ /\b\f\n\r\t😀日\x00\u2028",
			want:    batch.Restored{Input: "i", Seq: 3, Text: true, Type: "text", JobID: "j", RunID: "r"},
		},
		{
			name:    "text with added ids",
			message: `{"shipper":{"input":"i","seq":3,"text":true,"source":"stderr","added":["jobId"]},"jobId":"j","type":"text","timestamp":1,"message":"x"}`,
			line:    "x",
			want:    batch.Restored{Input: "i", Seq: 3, Text: true, Source: "stderr", Added: []string{"jobId"}, Type: "text", JobID: "j"},
		},
		{
			name:    "an agent's own line of type text",
			message: `{"shipper":{"input":"i","seq":3},"type":"text","message":"a \u0041"}`,
			line:    `{"type":"text","message":"a \u0041"}`,
			want:    batch.Restored{Input: "i", Seq: 3, Type: "text"},
		},
		{
			name:    "part",
			message: `{"shipper":{"input":"i","seq":42,"empty":1,"part":1},"type":"t","id":"x","timestamp":1,"jobId":"j","runId":"r","usage":{"data":"no"},"error":{"message":"no"},"data":"{\"a\":\"\\u"}`,
			line:    `{"a":"\u`,
			want:    batch.Restored{Input: "i", Seq: 42, Empty: 1, Part: 1, Type: "t", JobID: "j", RunID: "r"},
		},
		{
			name:    "last part, without a newline",
			message: `{"shipper":{"input":"i","seq":42,"part":2,"last":true,"newline":false},"type":"t","data":"0041\"}"}`,
			line:    `0041"}`,
			want:    batch.Restored{Input: "i", Seq: 42, Part: 2, Last: true, NoNewline: true, Type: "t"},
		},
		{
			name:    "record",
			message: `{"shipper":{"record":"open","input":"i","seq":7},"type":"shipper.open","timestamp":1,"jobId":"j"}`,
			line:    `{"shipper":{"record":"open","input":"i","seq":7},"type":"shipper.open","timestamp":1,"jobId":"j"}`,
			want:    batch.Restored{Record: "open", Input: "i", Type: "shipper.open", JobID: "j"},
		},
		{
			name:    "record of an input without a job",
			message: `{"shipper":{"record":"seal","input":"i","emptyLines":4,"ended":true},"type":"shipper.seal"}`,
			line:    `{"shipper":{"record":"seal","input":"i","emptyLines":4,"ended":true},"type":"shipper.seal"}`,
			want:    batch.Restored{Record: "seal", Input: "i", Type: "shipper.seal"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			message := []byte(c.message)
			got, err := batch.Restore(message)
			if err != nil {
				t.Fatal(err)
			}
			if string(got.Line) != c.line {
				t.Errorf("line %q\nwant %q", got.Line, c.line)
			}
			if !json.Valid(got.ShipperMember) || !strings.Contains(c.message, `{"shipper":`+string(got.ShipperMember)) {
				t.Errorf("shipper member %q of %q", got.ShipperMember, c.message)
			}
			got.Line, got.ShipperMember = nil, nil
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("restored %+v\nwant %+v", got, c.want)
			}
			if string(message) != c.message {
				t.Errorf("the message was changed to %q", message)
			}
		})
	}
}

func TestRestoreForeign(t *testing.T) {
	for name, message := range map[string]string{
		"nothing":                     "",
		"white space":                 " \t",
		"text":                        "npm warn deprecated",
		"an agent's line":             `{"type":"startRun","jobId":"j"}`,
		"shipper not first":           `{"type":"x","shipper":{"input":"i","seq":1}}`,
		"white space inside":          `{ "shipper":{"input":"i","seq":1},"a":1}`,
		"shipper is no object":        `{"shipper":"i"}`,
		"somebody else's shipper":     `{"shipper":{"name":"DHL"},"order":7}`,
		"no seq":                      `{"shipper":{"input":"i"},"a":1}`,
		"no input":                    `{"shipper":{"seq":1},"a":1}`,
		"empty input":                 `{"shipper":{"input":"","seq":1},"a":1}`,
		"input is no text":            `{"shipper":{"input":5,"seq":1},"a":1}`,
		"seq 0":                       `{"shipper":{"input":"i","seq":0},"a":1}`,
		"seq negative":                `{"shipper":{"input":"i","seq":-1},"a":1}`,
		"seq with a fraction":         `{"shipper":{"input":"i","seq":1.5},"a":1}`,
		"seq with a sign":             `{"shipper":{"input":"i","seq":+1},"a":1}`,
		"seq too large":               `{"shipper":{"input":"i","seq":9223372036854775808},"a":1}`,
		"part 0":                      `{"shipper":{"input":"i","seq":1,"part":0},"data":"x"}`,
		"record is no text":           `{"shipper":{"record":true,"input":"i","seq":1},"a":1}`,
		"text is no truth":            `{"shipper":{"input":"i","seq":1,"text":1},"message":"x"}`,
		"added is no list":            `{"shipper":{"input":"i","seq":1,"added":"jobId"},"jobId":"j","a":1}`,
		"added list of numbers":       `{"shipper":{"input":"i","seq":1,"added":[1]},"a":1}`,
		"cut in shipper":              `{"shipper":{"input":"i","seq":1`,
		"cut behind shipper":          `{"shipper":{"input":"i","seq":1}`,
		"cut in the line":             `{"shipper":{"input":"i","seq":1},"a":"b`,
		"no comma":                    `{"shipper":{"input":"i","seq":1}"a":1}`,
		"comma and no member":         `{"shipper":{"input":"i","seq":1},}`,
		"an id named and not added":   `{"shipper":{"input":"i","seq":1,"added":["jobId"]},"a":1}`,
		"an added id that is no text": `{"shipper":{"input":"i","seq":1,"added":["jobId"]},"jobId":1,"a":1}`,
		"part without data":           `{"shipper":{"input":"i","seq":1,"part":1},"type":"x"}`,
		"part with data no text":      `{"shipper":{"input":"i","seq":1,"part":1},"data":{}}`,
		"text without message":        `{"shipper":{"input":"i","seq":1,"text":true},"type":"text"}`,
		"text cut":                    `{"shipper":{"input":"i","seq":1,"text":true},"message":"x"`,
		"text and more":               `{"shipper":{"input":"i","seq":1,"text":true},"message":"x"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := batch.Restore([]byte(message)); !errors.Is(err, batch.ErrForeign) {
				t.Errorf("Restore(%q) = %+v, %v, want ErrForeign", message, got, err)
			}
		})
	}
}

// written is a small writer of events, independent of the one in this package. It works on values
// that encoding/json decoded, and builds messages by the text of the format alone.
type written struct {
	shipper  []string // members after input and seq: `"empty":2`
	add      [][2]string
	partSize int // 0: no parts
}

func isObject(line []byte) bool {
	return json.Valid(line) && strings.HasPrefix(strings.TrimLeft(string(line), " \t\r\n"), "{")
}

func (w written) messages(line []byte) []string {
	lossy := !utf8.Valid(line)
	text := string([]rune(string(line))) // each invalid byte becomes U+FFFD
	member := func(more ...string) string {
		all := append([]string{`"input":"i7"`, `"seq":12`}, more...)
		all = append(all, w.shipper...)
		if lossy {
			all = append(all, `"lossy":true`)
		}
		return `"shipper":{` + strings.Join(all, ",") + `}`
	}
	added, names := "", ""
	for _, a := range w.add {
		added += "," + asJSON(a[0]) + ":" + asJSON(a[1])
		names += "," + asJSON(a[0])
	}
	if w.partSize > 0 {
		var parts []string
		for n := 1; ; n++ {
			size := min(w.partSize, len(text))
			for size < len(text) && !utf8.RuneStart(text[size]) {
				size++
			}
			more := []string{`"part":` + strconv.Itoa(n)}
			if size == len(text) {
				more = append(more, `"last":true`)
			}
			parts = append(parts, `{`+member(more...)+`,"type":"t"`+added+`,"data":`+asJSON(text[:size])+`}`)
			if text = text[size:]; text == "" {
				return parts
			}
		}
	}
	if !isObject([]byte(text)) {
		return []string{`{` + member(`"text":true`) + `,"type":"text","timestamp":1` + added + `,"message":` + asJSON(text) + `}`}
	}
	var more []string
	if names != "" {
		more = append(more, `"added":[`+names[1:]+`]`)
	}
	before, after, _ := strings.Cut(text, "{")
	comma := ","
	var members map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &members) != nil || len(members) == 0 {
		comma = ""
	}
	return []string{before + `{` + member(more...) + added + comma + after}
}

func asJSON(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// restoreAll restores and joins the messages of one line, and checks the members of each message.
func restoreAll(messages []string) ([]byte, error) {
	var line []byte
	for n, message := range messages {
		got, err := batch.Restore([]byte(message))
		switch {
		case err != nil:
			return nil, fmt.Errorf("%q: %w", message, err)
		case got.Input != "i7" || got.Seq != 12 || got.Record != "":
			return nil, fmt.Errorf("%q: input %q, seq %d, record %q", message, got.Input, got.Seq, got.Record)
		case got.Part != 0 && (got.Part != n+1 || got.Last != (n == len(messages)-1)):
			return nil, fmt.Errorf("%q: part %d, last %v", message, got.Part, got.Last)
		case got.Part == 0 && len(messages) > 1:
			return nil, fmt.Errorf("%q is not a part", message)
		}
		line = append(line, got.Line...)
	}
	return line, nil
}

// drawJSON draws a JSON value with white space, escapes and names that the format uses itself.
func drawJSON(t *rapid.T, depth int) string {
	space := func() string { return rapid.SampledFrom([]string{"", "", "", " ", "\t", "\r", " \t"}).Draw(t, "space") }
	str := func() string {
		return rapid.OneOf(
			rapid.SampledFrom([]string{`"shipper"`, `"jobId"`, `"type"`, `"data"`, `"message"`, `""`, `"\\"`, `"\""`, `"}"`, `"{\"shipper\":{"`, `"\ud800"`, `"\u0000"`, `"job\u0049d"`}),
			rapid.Map(rapid.String(), asJSON),
		).Draw(t, "string")
	}
	kind := rapid.IntRange(0, 5).Draw(t, "kind")
	if depth == 0 {
		kind = 0 // an object, which is a line
	}
	if depth > 3 && kind < 2 {
		kind = 2
	}
	switch kind {
	case 0, 1:
		var items []string
		for range rapid.IntRange(0, 4).Draw(t, "members") {
			item := space() + drawJSON(t, depth+1) + space()
			if kind == 0 {
				item = space() + str() + space() + ":" + item
			}
			items = append(items, item)
		}
		inside := strings.Join(items, ",")
		if len(items) == 0 {
			inside = space()
		}
		if kind == 0 {
			return "{" + inside + "}"
		}
		return "[" + inside + "]"
	case 2, 3:
		return str()
	default:
		return rapid.SampledFrom([]string{"0", "-1.5e+9", "true", "false", "null"}).Draw(t, "scalar")
	}
}

func TestRestoreRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var line []byte
		if rapid.Bool().Draw(t, "JSON") {
			around := rapid.SampledFrom([]string{"", "", " ", "\t\r", "\r"})
			line = []byte(around.Draw(t, "before") + drawJSON(t, 0) + around.Draw(t, "after"))
			if !isObject(line) {
				t.Fatalf("drew %q, which is not a JSON object", line)
			}
		} else {
			line = bytes.ReplaceAll(rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t, "bytes"), []byte("\n"), []byte("{"))
		}
		var w written
		if rapid.Bool().Draw(t, "parts") {
			w.partSize = rapid.IntRange(1, 50).Draw(t, "size")
		}
		for _, name := range []string{"jobId", "runId"} {
			if rapid.Bool().Draw(t, "add "+name) {
				w.add = append(w.add, [2]string{name, rapid.String().Draw(t, name)})
			}
		}
		w.shipper = rapid.SliceOfDistinct(rapid.SampledFrom([]string{`"empty":2`, `"source":"stderr"`, `"newline":false`, `"at":1`, `"env":"\"}"`}), rapid.ID[string]).Draw(t, "shipper")
		messages := w.messages(line)
		got, err := restoreAll(messages)
		if err != nil {
			t.Fatal(err)
		}
		if want := string([]rune(string(line))); string(got) != want {
			t.Fatalf("%q came back as %q from %q", want, got, messages)
		}
	})
}

func TestRestoreDeepNesting(t *testing.T) {
	const depth = 1 << 20
	line := `{"a":` + strings.Repeat("[", depth) + strings.Repeat("]", depth) + `,"jobId":"j"}`
	got, err := batch.Restore([]byte(`{"shipper":{"input":"i","seq":1},` + line[1:]))
	if err != nil || string(got.Line) != line || got.JobID != "j" {
		t.Fatalf("a line nested %d levels deep: %v, job %q, %d bytes of %d", depth, err, got.JobID, len(got.Line), len(line))
	}
}

func FuzzRestore(f *testing.F) {
	for _, seed := range []string{
		`{"shipper":{"input":"i","seq":1,"added":["jobId"]},"jobId":"j","type":"x"}`,
		`{"shipper":{"input":"i","seq":1,"text":true},"message":"\ud83d\ude00\u00`,
		` {"shipper":{"input":"i","seq":1,"part":1,"last":true},"data":"\\\""}`,
		`{"shipper":{"record":"seal","input":"i"}} `,
		`{"shipper":{"input":"i","seq":1} }`,
		`{"a":[1,{"b":"\\"}]}`, "\xff\xfe{}", `{`, `"`, `{"shipper":{"input":"\`,
	} {
		f.Add([]byte(seed), uint8(7))
	}
	f.Fuzz(func(t *testing.T, b []byte, partSize uint8) {
		// As a message: it can be anything, but if Restore accepts it, it has what readers rely on.
		before := string(b)
		if got, err := batch.Restore(b); err == nil {
			if got.Record == "" && (got.Input == "" || got.Seq < 1) || got.Part < 0 || got.Empty < 0 {
				t.Errorf("Restore(%q) = %+v", b, got)
			}
		} else if !errors.Is(err, batch.ErrForeign) {
			t.Errorf("Restore(%q): %v", b, err)
		}
		if string(b) != before {
			t.Errorf("Restore changed the message %q to %q", before, b)
		}
		// As a line: it comes back unchanged.
		if len(b) == 0 || bytes.IndexByte(b, '\n') >= 0 {
			return
		}
		want := string([]rune(before))
		for _, w := range []written{{}, {add: [][2]string{{"jobId", want}}}, {partSize: int(partSize) + 1}} {
			got, err := restoreAll(w.messages(b))
			if err != nil || string(got) != want {
				t.Errorf("%q came back as %q, %v", want, got, err)
			}
		}
	})
}

func BenchmarkRestore(b *testing.B) {
	small := `{"shipper":{"input":"k3v9x2ab","seq":15},"type":"streamText","id":"abcdefghijkl","expertKey":"x","timestamp":1795347082176,"jobId":"uo5p","runId":"r1","stepNumber":3,"text":"` + strings.Repeat("word ", 40) + `"}`
	for name, message := range map[string]string{
		"350B":  small,
		"1MB":   small[:len(small)-2] + strings.Repeat(`line of a file\n`, 65000) + `"}`,
		"parts": `{"shipper":{"input":"i","seq":42,"part":1},"type":"t","data":"` + strings.Repeat(`line of a \"file\"\\n`, 50000) + `"}`,
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(message)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := batch.Restore([]byte(message)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
