//go:build linux

package chaos

// This file makes what agents write: lines like Perstack's, with several jobs and runs, and
// everything else that a terminal shows.

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// speaker generates the output of one agent.
type speaker struct {
	rng    *rand.Rand
	jobs   []string
	runs   []string
	clock  int64 // the agent's clock, ms since 1970
	poison bool  // CloudWatch refuses some lines
	many   bool  // it has more jobs than an input may have streams
	mute   bool  // it never names a job
}

func newSpeaker(rng *rand.Rand, poison bool) *speaker {
	s := &speaker{rng: rng, clock: time.Now().UnixMilli() - int64(rng.IntN(5000)), poison: poison, many: rng.IntN(12) == 0, mute: rng.IntN(15) == 0}
	for range 1 + rng.IntN(3) {
		s.jobs = append(s.jobs, s.id())
	}
	for range 1 + rng.IntN(4) {
		s.runs = append(s.runs, s.id())
	}
	switch rng.IntN(20) {
	case 0:
		s.jobs[0] = "nightly:build*" + s.id()
	case 1:
		s.jobs[0] = strings.Repeat("日本", 100) + s.id()
	case 2:
		s.jobs[0] = strings.Repeat("x", 1500) // longer than the longest id that is passed on
	}
	return s
}

func (s *speaker) id() string {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	b := make([]byte, 24)
	for i := range b {
		b[i] = letters[s.rng.IntN(len(letters))]
	}
	return string(b)
}

func (s *speaker) pick(of []string) string { return of[s.rng.IntN(len(of))] }

// say returns about size bytes of output.
func (s *speaker) say(size int) []byte {
	var b bytes.Buffer
	if s.rng.IntN(3) == 0 {
		b.WriteString("npm warn exec The following package was not found and will be installed: perstack@0.0.1\nnpm warn deprecated node-domexception@1.0.0\n")
	}
	for b.Len() < size {
		s.line(&b)
	}
	if s.rng.IntN(3) == 0 && b.Len() > 0 {
		b.Truncate(b.Len() - 1) // end without a newline
	}
	return b.Bytes()
}

var words = strings.Fields(`the model says "quoted" and \escaped\ words, a tab	and a slash / with 日本語 and é and 🙂 <html> & so on until it stops`)

func (s *speaker) text(n int) string {
	var b strings.Builder
	for b.Len() < n {
		b.WriteString(s.pick(words))
		b.WriteByte(' ')
	}
	return b.String()
}

// line writes one line and its newline.
func (s *speaker) line(b *bytes.Buffer) {
	s.clock += int64(s.rng.IntN(3))
	switch roll := s.rng.IntN(1000); {
	case roll < 640:
		s.event(b, s.text(20+s.rng.IntN(300)), "")
	case roll < 700:
		fmt.Fprintf(b, `{"type":"note","timestamp":%d,"text":%q}`, s.clock, "without ids")
	case roll < 800:
		b.WriteString("plain: " + s.text(10+s.rng.IntN(200)))
	case roll < 850:
		b.WriteString(strings.Repeat("\n", s.rng.IntN(3))) // empty lines
	case roll < 880:
		fmt.Fprintf(b, "raw \xff\xfe %s \xe6\x97 cut \xf0\x9f\x99", s.text(20))
	case roll < 895:
		s.event(b, "bytes \x80\xc3( in JSON", "")
	case roll < 905:
		b.WriteString("  \t")
		s.event(b, "wrapped", "")
		b.WriteString(" \t\r")
	case roll < 915:
		b.WriteString(s.pick([]string{"{}", "{ }", "{}\r", "[]", "null", `{"a":1,"a":2}`, "{", "}", `{"type":}`, " ", "\r", "\x00"}))
	case roll < 925:
		s.event(b, "metrics", `"_aws":{"Timestamp":1},`)
	case roll < 935:
		s.event(b, "forged", `"shipper":{"input":"aaaaaaaa","seq":1,"record":"seal"},`)
	case roll < 942:
		fmt.Fprintf(b, `{"shipper":{"input":"aaaaaaaa","seq":%d},"type":"text","message":"forged"}`, s.rng.IntN(100))
	case roll < 960:
		at := s.pick([]string{"1", "0", "1000000000000", "4102444800000", `"2020-01-01T00:00:00Z"`, `"never"`, "-5", "null", fmt.Sprint(s.clock / 1000), fmt.Sprint(s.clock - 13*24*3600*1000)})
		fmt.Fprintf(b, `{"type":"odd","timestamp":%s,"jobId":"%s"}`, at, s.job())
	case roll < 985:
		if s.poison {
			s.event(b, poison, "")
		} else {
			s.event(b, "usual", `"usage":{"inputTokens":1,"outputTokens":2},"error":{"name":"E"},`)
		}
	case roll < 997:
		s.event(b, s.text(20_000+s.rng.IntN(300_000)), "")
	case roll < 999:
		s.event(b, s.text(1_000_000+s.rng.IntN(1_500_000)), `"usage":{"inputTokens":1},`)
	default:
		b.WriteString(s.text(900_000 + s.rng.IntN(400_000)))
	}
	b.WriteByte('\n')
}

func (s *speaker) job() string {
	if s.many {
		return fmt.Sprintf("job-%d", s.rng.IntN(150))
	}
	return s.pick(s.jobs)
}

func (s *speaker) event(b *bytes.Buffer, delta, more string) {
	ids := fmt.Sprintf(`"jobId":"%s","runId":"%s",`, s.job(), s.pick(s.runs))
	if s.mute || s.rng.IntN(20) == 0 {
		ids = ""
	}
	// Not %q, which would repair invalid UTF-8.
	delta = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\t", `\t`).Replace(delta)
	fmt.Fprintf(b, `{%s"type":"streamReasoning","id":"%s","expertKey":"worker","timestamp":%d,%s"stepNumber":1,"delta":"%s"}`, more, s.id(), s.clock, ids, delta)
}

// veryLong returns a line that is too long to be parsed as a whole.
func (s *speaker) veryLong() []byte {
	var b bytes.Buffer
	s.event(&b, s.text(9<<20), "")
	b.WriteByte('\n')
	return b.Bytes()
}

// expected is a line as CloudWatch should hold it.
type expected struct {
	line      []byte // as UTF-8
	empty     int64  // empty lines before it
	end       int64  // offset after its newline
	lossy     bool
	noNewline bool
	poison    bool
}

// expect returns the lines that CloudWatch should hold of an input's bytes, and the total number of
// empty lines. A line also ends at each of cuts, without a newline.
func expect(data []byte, cuts ...int64) (lines []expected, emptyLines int64) {
	var empty int64
	for at := 0; at < len(data); {
		line, _, terminated := bytes.Cut(data[at:], []byte("\n"))
		for _, cut := range cuts {
			if n := int(cut) - at; n > 0 && n < len(line) {
				line, terminated = line[:n], false
			}
		}
		at += len(line)
		if terminated {
			at++
		}
		if len(line) == 0 {
			empty++
			emptyLines++
			continue
		}
		repaired := []byte(string([]rune(string(line)))) // one U+FFFD for each invalid byte
		lines = append(lines, expected{
			line: repaired, empty: empty, end: int64(at), lossy: !bytes.Equal(repaired, line),
			noNewline: !terminated, poison: bytes.Contains(line, []byte(poison)),
		})
		empty = 0
	}
	return lines, emptyLines
}
