package batch_test

// These tests compare what --exclude-type and --redact leave of an input with the result of
// encoding/json and a plain search.

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"perstack-shipper/batch"
)

// checkFiltered compares the events in CloudWatch with an input that was filtered.
func (s *shipment) checkFiltered(t rapid.TB, shape batch.Shape, input []byte) {
	t.Helper()
	var lines [][]byte
	for line := range bytes.SplitSeq(input, []byte("\n")) {
		if len(line) > 0 {
			lines = append(lines, line)
		}
	}
	var excluded [][2]int64
	left, redacted, empty := int64(0), int64(0), int64(0)
	seq := int64(0)
	digest := sha256.New()
	leave := func(to int64) {
		for ; seq < to; seq++ {
			if n := len(excluded) - 1; n >= 0 && excluded[n][1] == seq {
				excluded[n][1]++
			} else {
				excluded = append(excluded, [2]int64{seq + 1, seq + 1})
			}
			left++
			if !excludes(shape, lines[seq]) {
				t.Fatalf("line %d is missing: %.300q", seq+1, lines[seq])
			}
		}
	}
	for i := 0; i < len(s.messages); {
		m := &s.messages[i]
		if m.Seq != seq+1+m.Excluded || m.Part > 1 {
			t.Fatalf("seq %d part %d has excluded %d after seq %d", m.Seq, m.Part, m.Excluded, seq)
		}
		leave(m.Seq - 1)
		line, n := []byte(nil), int64(0)
		for {
			line, n, empty = append(line, s.messages[i].Line...), n+s.messages[i].Redacted, empty+s.messages[i].Empty
			last := s.messages[i].Part == 0 || s.messages[i].Last
			if i++; last {
				break
			}
			if next := &s.messages[i]; next.Seq != m.Seq || next.Part != s.messages[i-1].Part+1 || next.Excluded+next.Empty > 0 {
				t.Fatalf("seq %d part %d excluded %d follows seq %d part %d", next.Seq, next.Part, next.Excluded, m.Seq, s.messages[i-1].Part)
			}
		}
		seq++
		if excludes(shape, lines[seq-1]) {
			t.Fatalf("line %d should be left out, but is there: %.300q", seq, lines[seq-1])
		}
		checkRedacted(t, shape.Redact, repaired(lines[seq-1]), line, n)
		redacted += n
		digest.Write(append(line, '\n'))
	}
	leave(int64(len(lines)))
	st := s.state
	if st.Seq != int64(len(lines)) || st.Excluded.Lines != left || st.Counts.Redacted != redacted || st.Counts.Bytes != int64(len(input)) ||
		st.Counts.Events != int64(len(s.messages)) || empty+st.Empty != st.Counts.EmptyLines || st.Split != nil {
		t.Fatalf("state %+v of %d lines, %d left out, %d matches", st, len(lines), left, redacted)
	}
	if got := st.Excluded.Ranges(); !st.Excluded.Unlisted && !slices.Equal(got, excluded) || st.Excluded.Unlisted && (len(got) != batch.MaxExcluded || !slices.Equal(got, excluded[:len(got)])) {
		t.Fatalf("Ranges = %v, want %v", got, excluded)
	}
	if want := bytes.LastIndexByte(input, '\n') < len(input)-1 && cutJSON(lines[len(lines)-1]); st.Cut != want {
		t.Fatalf("State.Cut = %v, want %v", st.Cut, want)
	}
	gotLines, gotRaw, err := st.Digest.Sums()
	if err != nil {
		t.Fatal(err)
	}
	if gotRaw == nil {
		gotRaw = gotLines
	}
	if !bytes.Equal(gotLines, digest.Sum(nil)) || !bytes.Equal(gotRaw, s.sum[:]) {
		t.Fatal("a digest is wrong")
	}
}

// excludes reports whether a line is to be left out.
func excludes(shape batch.Shape, line []byte) bool {
	typ := "text"
	if object := bytes.TrimPrefix(repaired(line), []byte("\ufeff")); json.Valid(object) && bytes.HasPrefix(bytes.TrimLeft(object, " \t\r\n"), []byte("{")) {
		members := map[string]json.RawMessage{}
		if json.Unmarshal(object, &members) != nil || json.Unmarshal(members["type"], &typ) != nil || members["type"][0] != '"' {
			return false
		}
	}
	for _, glob := range shape.ExcludeTypes {
		if match, err := path.Match(glob, typ); match || err != nil {
			return true
		}
	}
	return false
}

// cutJSON reports whether a line starts like a JSON object but is not one.
func cutJSON(line []byte) bool {
	object := bytes.TrimPrefix(repaired(line), []byte("\ufeff"))
	rest, brace := bytes.CutPrefix(bytes.TrimLeft(object, " \t\r\n"), []byte("{"))
	return brace && bytes.HasPrefix(bytes.TrimLeft(rest, " \t\r\n"), []byte(`"`)) && !json.Valid(object)
}

// checkRedacted compares a redacted line with what it should be.
func checkRedacted(t rapid.TB, patterns []string, line, got []byte, n int64) {
	t.Helper()
	if len(patterns) == 0 || n == 0 {
		if !bytes.Equal(line, got) {
			t.Fatalf("%.300q became %.300q, with %d matches", line, got, n)
		}
	}
	object := bytes.TrimPrefix(line, []byte("\ufeff"))
	if !json.Valid(object) || !bytes.HasPrefix(bytes.TrimLeft(object, " \t\r\n"), []byte("{")) {
		floating := slices.DeleteFunc(slices.Clone(patterns), func(p string) bool { return strings.ContainsAny(p, "^$") })
		for piece := range bytes.SplitSeq(got, []byte("[redacted]")) { // the end of a piece is not the end of the line
			if _, n := searched(floating, string(piece)); n > 0 && len(line) < batch.SmallLine {
				t.Fatalf("%.300q remains of %.300q", piece, line)
			}
		}
		return
	}
	was, is := tokens(t, object), tokens(t, bytes.TrimPrefix(got, []byte("\ufeff")))
	if len(was) != len(is) {
		t.Fatalf("%.300q became %.300q", line, got)
	}
	count := int64(0)
	for i, w := range was {
		want := w.text
		if w.value {
			text, m := searched(patterns, w.text)
			want, count = text, count+m
		}
		if is[i] != (token{want, w.value}) {
			t.Fatalf("%.300q became %.300q: token %d is %.200q, want %.200q", line, got, i, is[i].text, want)
		}
	}
	if count != n {
		t.Fatalf("redacted is %d, want %d: %.300q", n, count, line)
	}
}

type token struct {
	text  string
	value bool // a string that is not a key
}

// tokens splits a line of JSON into tokens.
func tokens(t rapid.TB, line []byte) (all []token) {
	t.Helper()
	in := json.NewDecoder(bytes.NewReader(line))
	in.UseNumber()
	type level struct{ object, key bool }
	var open []level
	for {
		tok, err := in.Token()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%v: %.300q", err, line)
		}
		key := len(open) > 0 && open[len(open)-1].key
		text, isString := tok.(string)
		if !isString {
			text = fmt.Sprint(tok)
		}
		all = append(all, token{text, isString && !key})
		delim, _ := tok.(json.Delim)
		if delim == '}' || delim == ']' {
			open = open[:len(open)-1]
		}
		if len(open) > 0 && open[len(open)-1].object && delim != '{' && delim != '[' {
			open[len(open)-1].key = !key || delim != 0
		}
		if delim == '{' || delim == '[' {
			if n := len(open) - 1; n >= 0 && open[n].object {
				open[n].key = true // after it
			}
			open = append(open, level{delim == '{', delim == '{'})
		}
	}
}

// searched returns text with each run of matches replaced, and the number of runs.
func searched(patterns []string, text string) (string, int64) {
	hit := make([]bool, len(text)+1)
	joined := make([]bool, len(text)+1) // the byte belongs to the same match as the one before it
	for _, p := range patterns {
		for _, at := range regexp.MustCompile(p).FindAllStringIndex(text, -1) {
			for i := at[0]; i < at[1]; i++ {
				hit[i] = true
				joined[i] = joined[i] || i > 0 && hit[i-1]
			}
		}
	}
	var out strings.Builder
	n := int64(0)
	for i := range len(text) {
		switch {
		case !hit[i]:
			out.WriteByte(text[i])
		case i == 0 || !hit[i-1]:
			n++
			out.WriteString("[redacted]")
		}
	}
	return out.String(), n
}

var (
	someGlobs    = []string{"stream*", "text", "startRun", "*", "t", "call?ools", "[ab]*"}
	somePatterns = []string{`SECRET-[0-9]+`, `[0-9]{6}`, `j`, `(?i)key=\S+`, `é|日`, `\\`, `"`, `^a`, `x$`, `x*`, `\bsk-[A-Za-z0-9]{4,}`, `(?s)BEGIN.*?END`, `.`, `\x{fffd}`}
)

// filters reports whether a Shape leaves out lines or redacts them.
func filters(shape *batch.Shape) bool { return len(shape.ExcludeTypes)+len(shape.Redact) > 0 }

func drawFilters(t *rapid.T, shape *batch.Shape) {
	shape.ExcludeTypes = rapid.SliceOfN(rapid.SampledFrom(someGlobs), 0, 2).Draw(t, "exclude")
	shape.Redact = rapid.SliceOfN(rapid.SampledFrom(somePatterns), 0, 2).Draw(t, "redact")
	if !filters(shape) {
		shape.Redact = somePatterns[:1]
	}
}

func TestFiltered(t *testing.T) {
	batch.Large(t)
	t.Parallel()
	recorded := recordedLines(t)
	rapid.Check(t, func(t *rapid.T) {
		input, shape := drawInput(t, recorded), drawShape(t)
		drawFilters(t, &shape)
		ship(t, shape, input, regime{}).again(t, drawRegime(t))
	})
}

// Lines that are shipped as they are read are also left out by type. What a line counts does not
// depend on whether it is left out.
func TestLongLinesAreLeftOut(t *testing.T) {
	batch.Large(t)
	recorded := recordedLines(t)
	rapid.Check(t, func(t *rapid.T) {
		shape := plainShape()
		shape.JobID = "j"
		shape.ExcludeTypes = rapid.SliceOfN(rapid.SampledFrom([]string{"text", "text", "stream*", "*", "[a-s]*"}), 1, 2).Draw(t, "exclude")
		var input []byte
		n := rapid.IntRange(1, 6).Draw(t, "lines")
		for i := range n {
			if rapid.Bool().Draw(t, "long") {
				beginning := rapid.SampledFrom([]string{"x", `{x`, "{ [", `["`, "\ufeff", `{"type":"streamText","a":"`, ` { "type" : "other","a":"`, `{"a":"`}).Draw(t, "beginning")
				size := batch.SmallLine + rapid.SampledFrom([]int{0, 1, batch.SmallStep - 1, batch.SmallStep, 2*batch.SmallStep + 7}).Draw(t, "more")
				input = append(input, beginning...)
				input = append(input, strings.Repeat("y", size)...)
				if strings.HasSuffix(beginning, `:"`) {
					input = append(input, `"}`...)
				} else {
					input = append(input, rapid.SampledFrom([]string{"", "}", `,"usage":{"totalTokens":7}}`}).Draw(t, "end")...)
				}
			} else {
				input = append(input, drawLine(t, recorded)...)
			}
			if i < n-1 || rapid.Bool().Draw(t, "newline at the end") {
				input = append(input, '\n')
			}
		}
		pieces := drawRegime(t)
		read := pieces.read
		pieces.read = func(n int) int { return 500 + read(n) }
		got := ship(t, shape, input, regime{narrow: true})
		got.again(t, pieces)

		shape.ExcludeTypes = nil
		if all := ship(t, shape, input, regime{narrow: true}); all.jobs != got.jobs || all.state.Cut != got.state.Cut || all.state.Last != got.state.Last {
			t.Fatalf("without exclusion: %s, cut %v, last %s\nwith exclusion: %s, cut %v, last %s",
				all.jobs, all.state.Cut, all.state.Last, got.jobs, got.state.Cut, got.state.Last)
		}
	})
}

// A long line that starts like an object is shipped before its end shows that it is not one, so it
// is not left out as text. Its end decides whether the State says that it was cut.
func TestLongLinesThatBeginLikeObjects(t *testing.T) {
	shape := plainShape()
	shape.JobID, shape.ExcludeTypes = "j", []string{"text"}
	long := strings.Repeat("y", batch.SmallLine)
	for _, c := range []struct {
		input string
		seqs  []int64
		cut   bool
	}{
		{`{"a":"` + long, []int64{1}, true},
		{`{"a":"` + long + "\n", []int64{1}, false},
		{`{"a":"` + long + "\n" + long, []int64{1}, false},
		{strings.Repeat(" ", batch.SmallLine) + "x\n{}", []int64{1, 2}, false},
		{long + "\n" + `{"a":"`, nil, true},
		{`{"a":"` + "\n", nil, false},
	} {
		got := drive(t, shape, []byte(c.input), regime{narrow: true})
		var seqs []int64
		for _, m := range got.messages {
			r, err := batch.Restore([]byte(m.text))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(seqs, r.Seq) {
				seqs = append(seqs, r.Seq)
			}
		}
		if !slices.Equal(seqs, c.seqs) || got.state.Cut != c.cut {
			t.Errorf("%.20q…: seqs %v, cut %v", c.input, seqs, got.state.Cut)
		}
	}
}

// After a line that was cut, a followed file may continue with a line that is left out.
func TestCutIsOverWhenALineIsLeftOut(t *testing.T) {
	shape := plainShape()
	shape.JobID, shape.ExcludeTypes = "j", []string{"out"}
	s, err := batch.NewShaper(shape, batch.State{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var ev batch.Event
	offset := int64(0)
	for _, c := range []struct {
		data string
		cut  bool
	}{{`{"type":"out"}` + "\n" + `{"a":`, true}, {`{"type":"out"}` + "\n", false}} {
		s.Begin([]byte(c.data), offset, now, arrival, true)
		for s.Next(&ev) == batch.Made {
		}
		offset += int64(s.End())
		if got := s.State().Cut; got != c.cut {
			t.Errorf("after %q, State.Cut = %v", c.data, got)
		}
	}
}

// drawSecret draws a text with escapes, which somePatterns[0] may match.
func drawSecret(t *rapid.T) string {
	return rapid.SampledFrom([]string{`SECRET-123456`, `SEC\u0052ET-9`, `key=\u00e9\uD83D\uDE00"`[:21], `BEGIN \n\\ END`, `sk-abcdefgh`, `\\`, `\"`, `\ud800`, `日`}).Draw(t, "secret")
}

// A line that is shipped as it is read is redacted piece by piece, and no cut hides a match. The
// patterns do not match a whole run of units, because a match longer than a piece takes the rest of
// its string with it.
func TestLongLinesAreRedacted(t *testing.T) {
	batch.Large(t)
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		shape := plainShape()
		shape.JobID = "j"
		shape.Redact = rapid.SliceOfN(rapid.SampledFrom([]string{
			`SECRET-[0-9]{1,6}`, `key=\S{1,9}`, `日`, `é[^é]`, `\\[^\\]`, `"`, `sk-[A-Za-z0-9]{4,9}`, `(?s)BEGIN.{0,20}?END`, `\x{fffd}[^\x{fffd}]`, `😀[^😀]`,
		}), 1, 3).Draw(t, "redact")
		var line strings.Builder
		line.WriteString(rapid.SampledFrom([]string{`{"type":"big","a":"`, "\ufeff{\"jobId\":\"SECRET-1\",\"a\":[\"", `{"SECRET-1":{"b":["`, `{"_aws":1,"a":"`}).Draw(t, "beginning"))
		size := rapid.SampledFrom([]int{100, batch.SmallEvent, batch.SmallLine, batch.SmallLine + 3*batch.SmallStep}).Draw(t, "size")
		for line.Len() < size {
			line.WriteString(drawSecret(t))
			unit := rapid.SampledFrom([]string{"x", "é", `\n`, `\\`, `\u00e9`, `\ud83d\ude00`, "😀", "a b", `","`, "\xff"}).Draw(t, "unit")
			n := rapid.SampledFrom([]int{0, 1, 7, 300, batch.SmallStep - 20, batch.SmallStep / 8}).Draw(t, "times") + rapid.IntRange(0, 30).Draw(t, "more")
			if strings.HasPrefix(line.String()[:12], `{"type"`) && unit == `","` {
				unit = " "
			}
			line.WriteString(strings.Repeat(unit, n/len(unit)+1))
		}
		line.WriteString(drawSecret(t))
		input := line.String()
		for _, end := range []string{`"}`, `"]}`, `"]}}`, ``} {
			if end == "" || json.Valid([]byte(strings.ToValidUTF8(strings.TrimPrefix(input, "\ufeff")+end, "\ufffd"))) {
				input += end
				break
			}
		}
		if !utf8.ValidString(input) || rapid.Bool().Draw(t, "another line") {
			input += "\nafter SECRET-1\n"
		}
		whole := ship(t, shape, []byte(input), regime{narrow: true})
		pieces := drawRegime(t)
		read := pieces.read
		pieces.read = func(n int) int { return 500 + read(n) }
		whole.again(t, pieces)
	})
}

// What was redacted in a line does not appear elsewhere: not in ids, stream names, the members that
// parts repeat, ids added to earlier lines, or the receipt.
func TestRedactionLeavesNothing(t *testing.T) {
	t.Parallel()
	shape := plainShape()
	shape.Template = "{jobId}/{expertKey}"
	shape.Redact = []string{"SECRET-[0-9]+"}
	shape.ExcludeTypes = []string{"out*"}
	line := func(typ, more string) string {
		return `{"type":"` + typ + `","id":"SECRET-1","jobId":"job SECRET-2","runId":"SEC\u0052ET-3","expertKey":"SECRET-4","usage":{"totalTokens":1,"x":"SECRET-5"},"error":{"name":"SECRET-6","message":"no SECRET-7"}` + more
	}
	for name, input := range map[string]string{
		"whole":               line("stopRunByError", "}"),
		"text before it":      "npm warn\n" + line("stopRunByError", "}"),
		"in parts":            line("stopRunByError", `,"a":"`+strings.Repeat("x", batch.SmallEvent)+`"}`),
		"as it is read":       line("stopRunByError", `,"a":"`+strings.Repeat("x", batch.SmallLine)+`"}`),
		"its end":             `{"type":"stopRunByError","jobId":"j","a":"` + strings.Repeat("x", batch.SmallLine) + `","error":{"name":"SECRET-6","message":"no SECRET-7"}}`,
		"cut":                 line("stopRunByError", `,"a`),
		"left out":            line("out", "}") + "\n{}\ntext",
		"a long one left out": line("out", `,"a":"`+strings.Repeat("x", batch.SmallLine)+`"}`) + "\n{}\ntext",
		"text":                "SECRET-1\n{\"SECRET-2\nSECRET-3 {",
	} {
		got := ship(t, shape, []byte(input), regime{narrow: true})
		all := got.jobs + strings.Join(got.streams, "")
		for i := range got.messages {
			all += got.messages[i].text
		}
		if strings.Contains(all, "SECRET") || strings.Contains(all, "ET-3") || len(got.messages) == 0 {
			t.Errorf("%s: %d messages of %d bytes: %.2000s", name, len(got.messages), len(all), all)
		}
	}
}

// An endless match in an endless line: the rest of its string is left out, and what follows the
// string is not.
func TestRedactionOfWhatDoesNotEnd(t *testing.T) {
	batch.Large(t)
	shape := plainShape()
	shape.JobID = "j"
	shape.Redact = []string{"key=[a-z]+"}
	line := `{"a":"before","b":"key=` + strings.Repeat("x", 4*batch.SmallLine) + `","c":"behind","d":"key=y"}`
	got := ship(t, shape, []byte(line+"\n"), regime{narrow: true, restart: func() bool { return true }})
	var back []byte
	for _, m := range got.messages {
		back = append(back, m.Line...)
	}
	if want := `{"a":"before","b":"[redacted]","c":"behind","d":"[redacted]"}`; string(back) != want {
		t.Errorf("%.300s (%d bytes)", back, len(back))
	}
	text := ship(t, shape, []byte("a key="+strings.Repeat("x", 4*batch.SmallLine)+" behind\nkey behind"), regime{narrow: true})
	back = nil
	for _, m := range text.messages {
		back = append(append(back, m.Line...), '|')
	}
	if want := "a |[redacted]|key behind|"; strings.ReplaceAll(string(back), "||", "|") != want {
		t.Errorf("%.300s (%d bytes)", back, len(back))
	}
}

// A pattern that makes a line grow needs no more memory than twice the longest line.
func TestRedactionIsBounded(t *testing.T) {
	batch.Large(t)
	shape := plainShape()
	shape.JobID, shape.Redact = "j", []string{"[02468]"}
	var line strings.Builder
	line.WriteString(`{"a":["`)
	for line.Len() < batch.MaxLineBytes-100 {
		line.WriteString("0101010101010101")
		if line.Len()%5 == 0 {
			line.WriteString(`","`)
		}
	}
	line.WriteString(`"]}`)
	s, err := batch.NewShaper(shape, batch.State{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Begin([]byte(line.String()), 0, now, arrival, true)
	var ev batch.Event
	held, events := 0, 0
	for s.Next(&ev) == batch.Made {
		held, events = max(held, s.Held()), events+1
	}
	if s.End(); held > 5*batch.MaxLineBytes || events < 10 {
		t.Errorf("%d MiB of scratch in use, %d events", held>>20, events)
	}
}

// The list of excluded ranges is bounded. Together with the excluded member of each event it still
// proves that nothing else is missing, which checkFiltered verifies.
func TestManyRangesAreLeftOut(t *testing.T) {
	batch.Large(t)
	shape := plainShape()
	shape.JobID, shape.ExcludeTypes = "j", []string{"stream*"}
	input := []byte(strings.Repeat("{\"type\":\"streamText\"}\n{}\n\n", 2*batch.MaxExcluded) + "{\"type\":\"streamText\"}\n")
	got := ship(t, shape, input, regime{read: func(int) int { return 1000 }, restart: func() bool { return true }})
	if e := got.state.Excluded; !e.Unlisted || e.Lines != 2*batch.MaxExcluded+1 || e.Since != 1 {
		t.Errorf("%+v", e)
	}
	if _, err := batch.NewShaper(batch.Shape{Template: "a", Redact: []string{"("}}, batch.State{}, nil); err == nil {
		t.Error("an invalid pattern is accepted")
	}
	if _, err := batch.NewShaper(batch.Shape{Template: "a", ExcludeTypes: []string{"["}}, batch.State{}, nil); err == nil {
		t.Error("an invalid glob is accepted")
	}
}
