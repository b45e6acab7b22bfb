package readback

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// An input reads back as it was, whatever it holds, in whatever order the stream has its events,
// and however little memory Lines gets.
func TestLinesRoundTrip(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	rapid.Check(t, func(t *rapid.T) {
		g := &group{page: 50}
		var want strings.Builder
		var messages []string
		for i := range rapid.IntRange(1, 3).Draw(t, "inputs") {
			id := fmt.Sprint("in", i)
			first := len(messages)
			seq, emptyTotal, empty, ends := 0, 0, 0, true
			lines := rapid.IntRange(1, 20).Draw(t, "lines")
			for seq < lines {
				if empty == 0 {
					empty = rapid.SampledFrom([]int{0, 0, 0, 1, 3}).Draw(t, "empty")
					emptyTotal += empty
					want.WriteString(strings.Repeat("\n", empty))
				}
				line := rapid.OneOf(rapid.StringMatching(`[^\n]{1,30}`), rapid.Just(`{"jobId":"j"}`), rapid.Just(` { "a":1,"jobId":"j"}`+"\r")).Draw(t, "line")
				seq++
				ends = seq < lines || rapid.Bool().Draw(t, "newline")
				want.WriteString(line)
				if ends {
					want.WriteString("\n")
				}
				var more []string
				if empty > 0 {
					more = append(more, fmt.Sprintf(`"empty":%d`, empty))
				}
				if !ends {
					more = append(more, `"newline":false`)
				}
				if rapid.Bool().Draw(t, "in parts") {
					messages = append(messages, parts(id, seq, line, rapid.IntRange(1, 10).Draw(t, "size"), more...)...)
				} else {
					messages = append(messages, event(id, seq, line, more...))
				}
				empty = 0
			}
			trailing := 0
			if ends {
				trailing = rapid.IntRange(0, 2).Draw(t, "trailing")
			}
			want.WriteString(strings.Repeat("\n", trailing))
			messages = append(messages, seal(id, seq, emptyTotal+trailing, true))
			if !ends {
				want.WriteString("\n") // not if it is the last input; see below
			}
			for n := len(messages); n > first && rapid.IntRange(0, 2).Draw(t, "repeat") == 0; n-- {
				messages = append(messages, messages[rapid.IntRange(first, n-1).Draw(t, "which")])
			}
			for _, m := range rapid.Permutation(messages[first:]).Draw(t, "order") {
				g.put("j", int64(i), m)
			}
		}
		var out strings.Builder
		memory := rapid.SampledFrom([]int{1, 300, 5000, 1 << 20}).Draw(t, "memory")
		_, err := Lines(context.Background(), g, Query{Job: "j", Memory: memory}, &out)
		if err != nil {
			t.Fatal(err)
		}
		got := out.String()
		if !strings.HasSuffix(got, "\n") {
			got += "\n"
		}
		wanted := want.String()
		if got != wanted {
			t.Fatalf("printed %q\nwant    %q", got, wanted)
		}
	})
}
