package batch

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// checkQuote compares the JSON strings of this package with encoding/json.
func checkQuote(t rapid.TB, raw []byte, limit int) {
	t.Helper()
	text := appendRepaired([]byte("kept"), raw)
	if want := "kept" + string([]rune(string(raw))); string(text) != want {
		t.Fatalf("%.300q is repaired to %.300q, want %.300q", raw, text, want)
	}
	text = text[len("kept"):]
	if n := repairedLen(raw); n != len(text) {
		t.Fatalf("repairedLen(%.300q) = %d, want %d", raw, n, len(text))
	}
	for i := 0; i <= len(raw); i++ {
		if n := repairedLen(raw[:i]); utf8.RuneStart(append(raw, 'x')[i]) && unrepairedLen(raw, n) != i {
			t.Fatalf("the first %d bytes of %.300q repaired: unrepairedLen = %d, want %d", n, raw, unrepairedLen(raw, n), i)
		}
	}

	var whole string
	if err := json.Unmarshal(quote(string(raw)), &whole); err != nil || whole != string(text) {
		t.Fatalf("%.300q is quoted as %.300q: %v", raw, quote(string(raw)), err)
	}
	checkPieces(t, text, limit)

	out := make([]byte, 6*len(text)+escapeRoom+limit%64)
	wrote, took := escape(out[limit%64:], text)
	if err := json.Unmarshal([]byte(`"`+string(out[limit%64:][:wrote])+`"`), &whole); err != nil || took != len(text) || whole != string(text) {
		t.Fatalf("the first %d bytes of %.300q are escaped as %.300q: %v", took, text, out[limit%64:][:wrote], err)
	}

	// Both decoders read every string that encoding/json writes.
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(len(raw)%2 == 0)
	if err := enc.Encode(string(text)); err != nil {
		t.Fatal(err)
	}
	quoted := bytes.TrimSpace(b.Bytes())
	if got, ok := stringValue(quoted); !ok || got != string(text) {
		t.Fatalf("stringValue(%.300q) = %.300q, %v", quoted, got, ok)
	}
	if got := unquoted(quoted); string(got) != string(text) {
		t.Fatalf("unquoted(%.300q) = %.300q", quoted, got)
	}
}

// checkPieces cuts text into pieces of at most limit bytes as JSON string content.
func checkPieces(t rapid.TB, text []byte, limit int) {
	t.Helper()
	var all []byte
	for rest := text; len(rest) > 0; {
		piece, n := appendQuoted([]byte(`"`), rest, limit)
		var s string
		if err := json.Unmarshal(append(piece, '"'), &s); err != nil || s != string(rest[:n]) {
			t.Fatalf("%.300q is quoted as %.300q: %v", rest[:n], piece, err)
		}
		if len(piece)-1 > limit || n == 0 || n < len(rest) && !utf8.RuneStart(rest[n]) || !utf8.ValidString(s) {
			t.Fatalf("of %.300q, the first %d bytes make a piece of %d bytes; the limit is %d", rest, n, len(piece)-1, limit)
		}
		if n < len(rest) {
			_, size := utf8.DecodeRune(rest[n:])
			if size == 1 {
				size = len(appendEscapeOrPlain(nil, rest[n]))
			}
			if len(piece)-1+size <= limit {
				t.Fatalf("of %.300q, a piece ends after %d bytes although %d more would fit", rest, n, limit-(len(piece)-1))
			}
		}
		all, rest = append(all, s...), rest[n:]
	}
	if !bytes.Equal(all, text) {
		t.Fatalf("%.300q came back as %.300q", text, all)
	}
}

func appendEscapeOrPlain(dst []byte, c byte) []byte {
	if c >= 0x20 && c != '"' && c != '\\' {
		return append(dst, c)
	}
	return appendEscape(dst, c)
}

func TestQuote(t *testing.T) {
	everyByte := make([]byte, 256)
	for i := range everyByte {
		everyByte[i] = byte(i)
	}
	for _, raw := range []string{
		"", "a", `"`, `\`, "\x00\x1f\x7f", "\b\t\n\f\r\v", string(everyByte), "é日😀\u2028\u2029\ufeff\ufffd", "\xff", "a\xc3", "\xe6\x97", "\xf0\x9f\x98", "\xed\xa0\x80", "\xc0\x80", "\xf4\x90\x80\x80",
		"\x80\x80\x80", "<script>&", strings.Repeat("\x00", 40), strings.Repeat("日", 40) + "\xff", "\xf0\x9f\x98\x80\xf0\x9f\x98", `\u0041\n`,
	} {
		for limit := 6; limit < 30; limit++ {
			checkQuote(t, []byte(raw), limit)
		}
		checkQuote(t, []byte(raw), 1<<30)
	}
}

func TestQuoteProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.SliceOf(rapid.OneOf(rapid.Byte(), rapid.SampledFrom([]byte("\"\\\x00\n\xe6\x97\xa5aaaaaaaa")))).Draw(t, "bytes")
		checkQuote(t, raw, rapid.IntRange(6, 200).Draw(t, "limit"))
	})
}

// TestRope writes bytes that need escapes at every position around the end of a chunk.
func TestRope(t *testing.T) {
	Large(t)
	unit := "a\"b\\c\x00d\té日😀e\n" + strings.Repeat("f", 9)
	text := []byte(strings.Repeat(unit, 3000))
	for shift := range 40 {
		var pool Pool
		r := rope{pool: &pool}
		plain := bytes.Repeat([]byte("x"), ChunkBytes-20+shift)
		r.write(plain)
		start := r.end()
		r.writeEscaped(text)
		end := r.end()
		r.write([]byte("behind"))
		var s string
		content := bytes.Join(r.between(nil, start, end), nil)
		if err := json.Unmarshal([]byte(`"`+string(content)+`"`), &s); err != nil || s != string(text) {
			t.Fatalf("shift %d: %d bytes came back as %d: %v", shift, len(text), len(s), err)
		}
		if before := bytes.Join(r.between(nil, 0, start), nil); !bytes.Equal(before, plain) {
			t.Fatalf("shift %d: there are %d bytes before the text, want %d", shift, len(before), len(plain))
		}
		for _, c := range r.chunks {
			if cap(c) != ChunkBytes {
				t.Fatalf("a chunk has %d bytes", cap(c))
			}
		}
		if held := pool.Held(); held != len(r.chunks)*ChunkBytes {
			t.Fatalf("the pool counts %d bytes for %d chunks", held, len(r.chunks))
		}
		r.release()
		if pool.Held() != 0 || r.end() != 0 {
			t.Fatalf("after release, %d bytes are in use and the end is at %d", pool.Held(), r.end())
		}
	}
}

func FuzzQuote(f *testing.F) {
	for i, line := range seeds(f) {
		f.Add(line, uint8(i))
	}
	f.Add([]byte("\xff\xfe\xed\xa0\x80\xf0\x9f\x98日\"\\\x00"), uint8(3))
	f.Fuzz(func(t *testing.T, raw []byte, limit uint8) { checkQuote(t, raw, int(limit)+6) })
}

// FuzzUnquote checks that a string in quotes is read or refused as by encoding/json.
func FuzzUnquote(f *testing.F) {
	for _, content := range []string{`a\u0041`, `\ud83d\ude00`, `\ud83d`, `\ude00\ud83d`, `\ud83d\u0041`, `\ud83dx`, `\/\b\f\n\r\t\"\\`, "é", "\xff"} {
		f.Add([]byte(content))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		quoted := []byte(`"` + string(content) + `"`)
		var want string
		valid := json.Unmarshal(quoted, &want) == nil
		if got, ok := stringValue(quoted); ok != valid || valid && got != want {
			t.Fatalf("%.300q: got %.300q, %v; encoding/json: %.300q, %v", quoted, got, ok, want, valid)
		}
		if valid && utf8.Valid(content) {
			if got := unquoted(quoted); string(got) != want {
				t.Fatalf("unquoted(%.300q) = %.300q, want %.300q", quoted, got, want)
			}
		}
	})
}
