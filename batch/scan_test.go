package batch

// The scanner must agree with encoding/json on what an object is, where its members are and what
// they are called.

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// checkScan compares what the scanner and encoding/json find in a line.
func checkScan(t rapid.TB, s *scanner, line []byte) {
	t.Helper()
	if !utf8.Valid(line) {
		return // the Shaper repairs such a line first
	}
	var h head
	got := s.object(line, &h)
	trimmed := strings.TrimLeft(string(line), " \t\r\n")
	want := strings.HasPrefix(trimmed, "{") && json.Valid(line)
	if got != want {
		t.Fatalf("object(%.300q) = %v, encoding/json says %v", line, got, want)
	}
	if !got {
		for _, value := range []struct{ raw []byte }{{h.typ}, {h.id}, {h.expertKey}, {h.timestamp}, {h.jobID}, {h.runID}, {h.stepNumber}, {h.usage}, {h.err}} {
			if value.raw != nil && !json.Valid(value.raw) {
				t.Fatalf("in %.300q, the value %q is not JSON", line, value.raw)
			}
		}
		return
	}
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal(line, &members); err != nil {
		t.Fatalf("%.300q: %v", line, err)
	}
	for name, value := range map[string][]byte{
		"type": h.typ, "id": h.id, "expertKey": h.expertKey, "timestamp": h.timestamp, "jobId": h.jobID, "runId": h.runID, "stepNumber": h.stepNumber, "usage": h.usage, "error": h.err,
	} {
		want, there := members[name]
		if there != (value != nil) || string(want) != string(value) {
			t.Fatalf("%s in %.300q is %q (found: %v), encoding/json says %q (%v)", name, line, value, value != nil, want, there)
		}
	}
	_, aws := members["_aws"]
	if _, ours := members["shipper"]; h.foreign != (aws || ours) {
		t.Fatalf("%.300q: foreign = %v", line, h.foreign)
	}
	if h.brace != len(line)-len(trimmed) || h.members != (len(members) > 0) {
		t.Fatalf("%.300q: brace = %d, members = %v", line, h.brace, h.members)
	}
	if s.ascii() && strings.IndexFunc(string(line), func(r rune) bool { return r >= utf8.RuneSelf }) >= 0 {
		t.Fatalf("%.300q counts as ASCII", line)
	}
	content, copied := s.escaped(), s.copying
	if copied != (len(line) <= MaxEventBytes) {
		t.Fatalf("a line of %d bytes: copying = %v", len(line), copied)
	}
	var rest string
	if !copied {
		return
	}
	if err := json.Unmarshal([]byte(`"`+string(content)+`"`), &rest); err != nil || rest != string(line[h.brace+1:]) {
		t.Fatalf("%.300q is escaped as %.300q: %v", line, content, err)
	}
}

func TestScanForms(t *testing.T) {
	Large(t)
	const dirt = "\x00\x01\x1f\x7f \t\r\n\"\\/{}[]:,0-+.eE"
	var s scanner
	forms := []string{
		"", " ", "{", "}", "{}", "{}}", "{ }", "{,}", "{}{}", "[]", "null", `"a"`, "1", "{}\x00", "\ufeff{}", "\v{}", "\u00a0{}", "{}\n", "\n{}",
		`{"a"}`, `{"a":}`, `{"a":1,}`, `{"a":1,,"b":2}`, `{a:1}`, `{'a':1}`, `{"a":1 "b":2}`, `{"a" 1}`, `{:1}`, `{"a":1}//`,
		`{"a":tru}`, `{"a":true}`, `{"a":falsey}`, `{"a":null,"b":nul}`, `{"a":True}`, `{"a":NaN}`, `{"a":Infinity}`, `{"a":undefined}`,
		`{"a":0}`, `{"a":-0}`, `{"a":00}`, `{"a":01}`, `{"a":-}`, `{"a":+1}`, `{"a":.5}`, `{"a":5.}`, `{"a":5.0}`, `{"a":1e}`, `{"a":1e+}`, `{"a":1E-7}`, `{"a":1e7.5}`, `{"a":0x1}`, `{"a":1_0}`, `{"a":-1.5e+300}`, `{"a":1 }`, `{"a":0e0}`,
		`{"a":[}`, `{"a":[1,]}`, `{"a":[,1]}`, `{"a":[1 2]}`, `{"a":[[]]}`, `{"a":[]]}`, `{"a":{]}`, `{"a":[1}`, `{"a":{"b":1]}`, `{"a":[{"b":[{}]}]}`, `{"a":{"b"}}`, `{"a":{"b":}}`, `{"a":[:]}`, `{"a":{1:2}}`,
		`{"a":"\u"}`, `{"a":"\u12"}`, `{"a":"\u123G"}`, `{"a":"\uABcd"}`, `{"a":"\x"}`, `{"a":"\'"}`, `{"a":"\`, `{"a":"\u`, `{"a":"\u00`, `{"a":"\u0000`, `{"a":"\"}`, `{"a":"\\"}`, `{"a":"\\\"}`, `{"a":"\/\b\f\n\r\t"}`,
		`{"type":1,"type":"two","id":{},"id":[1, 2] ,"timestamp" : 5 ,"jobId":"x","jobId":null}`, `{"\u0065\u0078\u0070\u0065\u0072\u0074\u004b\u0065\u0079":1,"\u0065\u0078\u0070\u0065\u0072\u0074\u004b\u0065\u0079\u0073":2}`, `{"\u0074ype":"t","j\u006fbId":"j","runI\u0064":"r","\u0075sage":{},"err\u006fr":7,"\u005faws":[]}`,
		`{"_aws":1}`, `{"\u005Faws":1}`, `{"_aw\u0073":1}`, `{"a":{"_aws":1}}`, `{"_aws ":1}`, `{"_aws\u0000":1}`, `{"\\u005faws":1}`, `{"_AWS":1}`, `{"\ud800_aws":1}`,
		`{"shipper":{}}`, `{"\u0073hipper":1}`, `{"shippe\u0072":1}`, `{"a":{"shipper":1}}`, `{"shipper ":1}`, `{"\\u0073hipper":1}`, `{"Shipper":1}`, `{"ship\/per":1}`, `{"type\\":1,"\\type":2,"\"type":3,"ty\/pe":4}`,
		`{"type":"a","\u0074ype":"b"}`, `{"\u0074ype":"b","type":"a"}`, `{"":1}`, `{"a":"日😀\u2028"}`, "{\"a\":\"\u2028\u2029\ufeff\u007f\"}", "\t { \r\n\"type\"\t:\r\"x\"\n,\"id\" :\t[ ] } \r\n",
	}
	for _, form := range forms {
		checkScan(t, &s, []byte(form))
		// Change, remove and double each byte, and move the whole to each offset within eight
		// bytes.
		for i := range len(form) {
			for _, c := range []byte(dirt) {
				checkScan(t, &s, []byte(form[:i]+string(c)+form[i+1:]))
			}
			checkScan(t, &s, []byte(form[:i]+form[i+1:]))
			checkScan(t, &s, []byte(form[:i]+form[i:i+1]+form[i:]))
			checkScan(t, &s, []byte(form[:i]))
		}
		for n := range 9 {
			checkScan(t, &s, []byte(strings.Repeat(" ", n)+form+strings.Repeat("\t", n)))
			if len(form) > 1 {
				checkScan(t, &s, []byte(`{"`+strings.Repeat("k", n)+`":"`+strings.Repeat("é", n)+`",`+form[1:]))
			}
		}
	}
}

// Depth 10000 is the deepest that encoding/json accepts.
func TestScanDepth(t *testing.T) {
	Large(t)
	var s scanner
	for depth := 9998; depth <= 10002; depth++ {
		for _, c := range [][2]string{{"[", "]"}, {`{"a":`, "}"}, {`[{"a":`, "}]"}} {
			n := (depth - 1) / len(strings.ReplaceAll(c[1], " ", ""))
			line := []byte(`{"a":` + strings.Repeat(c[0], n) + "1" + strings.Repeat(c[1], n) + "}")
			checkScan(t, &s, line)
			checkScan(t, &s, append([]byte(" "), line...))
		}
	}
	// A line of nothing but open brackets is not an object, and must not exhaust the stack.
	if s.object([]byte(`{"a":`+strings.Repeat("[", MaxLineBytes)), &head{}) {
		t.Error("a line of 8 Mi open brackets counts as an object")
	}
}

// The result of a scan does not depend on the line before.
func TestScanLongAndShort(t *testing.T) {
	Large(t)
	var s scanner
	for _, size := range []int{10, leastOut/2 - outRoom, leastOut / 2, MaxEventBytes, 100, MaxEventBytes + 1, 3 * leastOut, 50} {
		for _, unit := range []string{"x", `\\`, `\"`, `\n`, `\u0041`, "é", "日", `{`, "\t"} {
			if size > 3*leastOut {
				break // one line of a megabyte is enough
			}
			for _, form := range []string{`{"a":"%"}`, `{"%":1}`, `{"a":["%"]}%`, `{%}`, `{"type":"%"`, "%", `{"a":1,%"b":"\t"}`} {
				fill := max(size-len(form)+1, 0) / len(unit)
				line := []byte(strings.ReplaceAll(form, "%", strings.Repeat(unit, fill)))
				checkScan(t, &s, line)
			}
		}
		line := []byte(`{"a":"` + strings.Repeat("x", size-len(`{"a":""}`)) + `"}`)
		if len(line) != size {
			t.Fatalf("a line of %d bytes, want %d", len(line), size)
		}
		checkScan(t, &s, line)
	}
}

// In a line that is cut off, a value that may continue does not count as complete.
func TestScanOfABeginning(t *testing.T) {
	var s scanner
	line := []byte(`{"type":"t","timestamp":1795348705863,"jobId":"j","runId":"r","usage":{"a":[1,2]},"id":-1.5e10}`)
	var whole head
	if !s.object(line, &whole) {
		t.Fatal("the line is not an object")
	}
	for i := range line {
		var h head
		if s.object(line[:i], &h) {
			t.Fatalf("%q counts as an object", line[:i])
		}
		for _, c := range []struct{ got, want []byte }{{h.typ, whole.typ}, {h.timestamp, whole.timestamp}, {h.jobID, whole.jobID}, {h.runID, whole.runID}, {h.usage, whole.usage}, {h.id, whole.id}} {
			if c.got != nil && !bytes.Equal(c.got, c.want) {
				t.Errorf("in %q, the scanner finds %q", line[:i], c.got)
			}
		}
	}
}

// drawMembers draws something that looks like an object, with the names that matter.
func drawMembers(t *rapid.T) []byte {
	words := rapid.SampledFrom([]string{
		"{", "}", "[", "]", ":", ",", `"type"`, `"id"`, `"jobId"`, `"runId"`, `"timestamp"`, `"usage"`, `"error"`, `"expertKey"`, `"_aws"`, `"\u005faws"`, `"shipper"`, `"\u0073hipper"`, `"job\u0049d"`, `"\"`,
		`"`, `\`, "u", "0041", "1", "-1.5e3", "0", "true", "null", " ", "\t", "\r", "\n", "é", "日本語", "\x01", `"a":`, `"some longer text"`, `:{}`, `:[1,2],`, `"\\\"\n\u00e9",`, `"x":"y",`,
	})
	var b []byte
	b = append(b, rapid.SampledFrom([]string{"{", "{", " {", "", "\t{ "}).Draw(t, "open")...)
	if rapid.Bool().Draw(t, "orderly") {
		n := rapid.IntRange(0, 6).Draw(t, "members")
		for i := range n {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(append(b, words.Filter(func(s string) bool { return s[0] == '"' && s[len(s)-1] == '"' && len(s) > 3 }).Draw(t, "name")...), ':')
			b = append(b, words.Filter(func(s string) bool { return json.Valid([]byte(s)) }).Draw(t, "value")...)
		}
	} else {
		for range rapid.IntRange(0, 20).Draw(t, "words") {
			b = append(b, words.Draw(t, "word")...)
		}
	}
	return append(b, rapid.SampledFrom([]string{"}", "}", "} ", "", "}\r"}).Draw(t, "close")...)
}

func TestScanAgrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s scanner
		for range 3 {
			line := drawMembers(t)
			checkScan(t, &s, line)
			checkScan(t, &s, line) // now the bytes before all of its values are known
		}
	})
}

// What a scan remembers of a line must not match a line that is only nearly the same.
func TestScanRemembers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s scanner
		name := rapid.SampledFrom([]string{"type", "id", "jobId", "expertKey", "_aws", "shipper", "stepNumber", "a", "toolResultsOf", "a name of 18 bytes", "a name of 19 bytes!", "a name of 20 bytes!!", "a name of 24 bytes......", "é", ""})
		value := rapid.SampledFrom([]string{`"x"`, `1`, `""`, `{"a":"b"}`, `[]`, `null`, `"` + strings.Repeat("long ", 20) + `"`, `-1.5e3`})
		line := []byte("{")
		for i := range rapid.IntRange(1, slots+2).Draw(t, "members") {
			if i > 0 {
				line = append(line, ',')
			}
			line = append(append(append(append(line, '"'), name.Draw(t, "name")...), `":`...), value.Draw(t, "value")...)
		}
		line = append(line, '}')
		checkScan(t, &s, line)
		checkScan(t, &s, line)
		for range rapid.IntRange(1, 5).Draw(t, "changes") {
			at := rapid.IntRange(0, len(line)-1).Draw(t, "at")
			with := rapid.SampledFrom([]string{"", "x", `"`, `\`, ",", ":", " ", "}", "0", "\t", `","`, `":"`}).Draw(t, "with")
			changed := append(append(append([]byte(nil), line[:at]...), with...), line[at+rapid.IntRange(0, 1).Draw(t, "over"):]...)
			checkScan(t, &s, changed)
			checkScan(t, &s, line)
		}
	})
}

// seeds returns lines of the small recordings in the repository.
func seeds(f testing.TB) (lines [][]byte) {
	for _, name := range []string{"simple.jsonl", "jobid.jsonl", "mixed-error.log", "openai-warning.jsonl"} {
		data, err := os.ReadFile(filepath.Join("../cmd/perstack-shipper/testdata/recordings", name))
		if err != nil {
			f.Fatal(err)
		}
		for i, line := range bytes.Split(data, []byte("\n")) {
			if i%9 == 0 && len(line) > 0 && len(line) < 2000 {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

func FuzzScan(f *testing.F) {
	for _, line := range seeds(f) {
		f.Add(line)
	}
	for _, form := range []string{`{"\u005faws":{}}`, `{"a":[{"b":"\\\u00e9"}],"type":-1.5e3 }`, " \t{\r}\n", `{"jobId":"a","jobId":null}`, "{\"é\":\"日\u2028\"}"} {
		f.Add([]byte(form))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		var s scanner
		checkScan(t, &s, line)
		checkScan(t, &s, line)
		if len(line) > 1 { // the first half of the line, followed by a different member
			checkScan(t, &s, append(append([]byte(nil), line[:len(line)/2]...), `,"x":"y"}`...))
			checkScan(t, &s, line)
		}
		if len(line) > 0 && len(line) < 1000 { // the same after a long string
			checkScan(t, &s, append([]byte(`{"fill":"`+strings.Repeat("fill", leastOut/4)+`",`), bytes.TrimLeft(line, " {")...))
			checkScan(t, &s, line)
		}
	})
}
