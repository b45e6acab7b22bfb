package terminal

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestEscape(t *testing.T) {
	for text, want := range map[string]string{
		"plain":                   "plain",
		"日本 é 🙂":                  "日本 é 🙂",
		"\x1b[2Jgone":             `\x1b[2Jgone`,
		"a\nb\tc\rd":              `a\nb\tc\rd`,
		"\x00\a\b\x7f":            `\x00\x07\x08\x7f`,
		"\u009b31m":               `\u009b31m`,
		"\u202efdp.exe":           `\u202efdp.exe`,
		"\u2028":                  `\u2028`,
		"bad \xff\xfe":            `bad \xff\xfe`,
		`already \x1b`:            `already \x1b`,
		"\ufffd":                  "\ufffd",
		"":                        "",
		"\x1b]0;title\x07\x1b[0m": `\x1b]0;title\x07\x1b[0m`,
	} {
		if got := Escape(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// Escape leaves no character that a terminal could act on, and escapes nothing twice.
func TestEscapeLeavesNothingThatSteers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")) + rapid.String().Draw(t, "text")
		got := Escape(text)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, unicode.IsControl) {
			t.Fatalf("%q became %q", text, got)
		}
		if Escape(got) != got {
			t.Fatalf("%q is escaped again", got)
		}
	})
}

func TestEscapeJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.OneOf(rapid.Rune(), rapid.SampledFrom([]rune("\x1b\x7f\u009b\u202e\u2028\n\\\"")))).Draw(t, "text")
		data, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		got := EscapeJSON(data)
		var back string
		if err := json.Unmarshal(got, &back); err != nil || back != text || strings.ContainsFunc(string(got), steers) {
			t.Fatalf("%q became %s, %v", text, got, err)
		}
	})
}

func TestFit(t *testing.T) {
	for _, c := range []struct {
		text    string
		columns int
		want    string
	}{
		{"abc", 3, "abc"},
		{"abcd", 3, "ab…"},
		{"日本語", 6, "日本語"},
		{"日本語", 5, "日本…"},
		{"日本語", 4, "日…"},
		{"e\u0301a", 2, "e\u0301a"},
		{"abc", 1, "…"},
		{"", 0, ""},
	} {
		if got := Fit(c.text, c.columns); got != c.want || Width(got) > c.columns {
			t.Errorf("%q in %d: %q", c.text, c.columns, got)
		}
	}
}
