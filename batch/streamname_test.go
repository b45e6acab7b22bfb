package batch_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"perstack-shipper/batch"
)

func TestStreamName(t *testing.T) {
	a510, a511, a512 := strings.Repeat("a", 510), strings.Repeat("a", 511), strings.Repeat("a", 512)
	for _, c := range []struct{ name, in, want string }{
		{"plain", "uo5p/run_1", "uo5p/run_1"},
		{"refused characters", "nightly:build*42/日本", "nightly-build-42/日本"},
		{"empty", "", "-"},
		{"only refused", ":*", "--"},
		{"not UTF-8", "a\xffb", "a\uFFFDb"},
		{"at the limit", a512, a512},
		{"one over", a512 + "b", a512},
		{"character ends at the limit", a510 + "é" + "b", a510 + "é"},
		{"character over the limit", a511 + "é", a511},
		{"three bytes over the limit", a511 + "日本", a511},
		{"not UTF-8, over the limit after repair", a510 + "\xff", a510},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := batch.StreamName(c.in); got != c.want {
				t.Errorf("StreamName(%q) = %q, want %q", c.in, got, c.want)
			}
		})
	}
}

func TestStreamNameIsAlwaysLegal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := string(rapid.SliceOfN(rapid.Byte(), 0, 600).Draw(t, "bytes"))
		if rapid.Bool().Draw(t, "as text") {
			in = rapid.StringN(0, 300, 1200).Draw(t, "text")
		}
		got := batch.StreamName(in)
		if got == "" || len(got) > batch.MaxStreamNameBytes || !utf8.ValidString(got) || strings.ContainsAny(got, ":*") {
			t.Fatalf("StreamName(%q) = %q, which CloudWatch refuses", in, got)
		}
		if again := batch.StreamName(got); again != got {
			t.Fatalf("StreamName(%q) = %q, and StreamName of that is %q", in, got, again)
		}
	})
}
