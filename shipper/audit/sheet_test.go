package audit

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"perstack-shipper/shipper/terminal"
)

func TestSheet(t *testing.T) {
	s := sheet{
		columns: []column{
			{title: "JOB", name: "job_id", shrink: true}, {title: "STARTED (UTC)", name: "started_utc"},
			{title: "TOOK", name: "duration_seconds", right: true}, {title: "TOKENS", name: "total_tokens", right: true},
		},
		rows: [][]cell{
			{text("nightly:build*42/日本"), moment(1795347082176), span(7824), count(1234567)},
			{text("\x1b[2Jgone\n"), moment(0), span(-1), count(0)},
			{text("=cmd|' /C calc'!A0"), moment(1795347082176), span(3*3600_000 + 4*60_000 + 5_000), count(-1234)},
		},
		total: []cell{text("total"), text(""), text(""), count(999)},
	}
	var out bytes.Buffer
	if err := s.write(&out, 0); err != nil {
		t.Fatal(err)
	}
	want := `JOB                    STARTED (UTC)        TOOK     TOKENS
nightly:build*42/日本  2026-11-22 11:31:22  7.8s  1,234,567
\x1b[2Jgone\n          -                       -          0
=cmd|' /C calc'!A0     2026-11-22 11:31:22  3h4m     -1,234
total                                                   999
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}

	out.Reset()
	if err := s.writeCSV(&out); err != nil {
		t.Fatal(err)
	}
	want = "\ufeffjob_id,started_utc,duration_seconds,total_tokens\r\n" +
		"nightly:build*42/日本,2026-11-22 11:31:22,7.824,1234567\r\n" +
		"\\x1b[2Jgone\\n,,,0\r\n" +
		"'=cmd|' /C calc'!A0,2026-11-22 11:31:22,11045.000,-1234\r\n"
	if out.String() != want {
		t.Errorf("got\n%q\nwant\n%q", out.String(), want)
	}
}

func TestSpan(t *testing.T) {
	for ms, want := range map[span]string{
		0: "0.0s", 49: "0.0s", 59_949: "59.9s", 60_000: "1m", 61_000: "1m1s", 3_599_999: "59m59s", 3_600_000: "1h0m", 90_000_000: "25h0m", -1: "-",
	} {
		if got := ms.show(); got != want {
			t.Errorf("%s: %s, want %s", time.Duration(ms)*time.Millisecond, got, want)
		}
	}
}

// No line of a table is wider than the terminal, unless no column can shrink any further.
func TestSheetFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := sheet{columns: []column{{title: "A", shrink: true}, {title: "B"}, {title: "C", shrink: true}}}
		least := 2*leastCell + len(gap)*2 + 5
		for range rapid.IntRange(0, 5).Draw(t, "rows") {
			s.rows = append(s.rows, []cell{text(rapid.String().Draw(t, "a")), count(rapid.Int64Range(0, 9999).Draw(t, "b")), text(rapid.String().Draw(t, "c"))})
		}
		width := rapid.IntRange(1, 100).Draw(t, "width")
		var out bytes.Buffer
		if err := s.write(&out, width); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if len(lines) != len(s.rows)+1 {
			t.Fatalf("%d lines for %d rows:\n%s", len(lines), len(s.rows), out.String())
		}
		for _, line := range lines {
			if got := terminal.Width(line); got > max(width, least) {
				t.Fatalf("%d columns in a terminal of %d: %q", got, width, line)
			}
		}
	})
}
