package main

import (
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"perstack-shipper/shipper/testkit"
)

var metricsAt = regexp.MustCompile(`"address":"([^"]+)"`)

// scraped is a shipper that serves its metrics.
type scraped struct {
	*world
	*testkit.Process
	address string
	in      *os.File // its stdin
}

func newScraped(t *testing.T) *scraped {
	t.Helper()
	return newWorld(t).scraped()
}

// scraped starts a shipper that serves its metrics.
func (w *world) scraped() *scraped {
	t := w.T
	t.Helper()
	c := w.command("--metrics-addr", ":0")
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	c.Stdin = out
	sc := &scraped{world: w, Process: w.Start(c), in: in}
	out.Close()
	w.Until("the log names the address", func() bool {
		if m := metricsAt.FindStringSubmatch(sc.Said()); m != nil {
			sc.address = m[1]
		}
		return sc.address != ""
	})
	if !strings.HasPrefix(sc.address, "127.0.0.1:") {
		t.Errorf("without a host it listens on %s", sc.address)
	}
	return sc
}

// get returns the body and the status of a path.
func (s *scraped) get(path string) (string, int) {
	s.T.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://" + s.address + path)
	if err != nil {
		s.T.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		s.T.Fatal(err)
	}
	return string(body), answer.StatusCode
}

// value returns the value of a sample.
func (s *scraped) value(text, sample string) float64 {
	s.T.Helper()
	for line := range strings.Lines(text) {
		if number, ok := strings.CutPrefix(line, "perstack_shipper_"+sample+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
			if err != nil {
				s.T.Fatal(err)
			}
			return n
		}
	}
	return -1
}

// The metrics of a recorded run agree with usage.
func TestMetricsOfARecording(t *testing.T) {
	recording, err := os.ReadFile("testdata/recordings/tools.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	s := newScraped(t)
	if _, err := s.in.Write(recording); err != nil {
		t.Fatal(err)
	}
	text := ""
	s.Until("everything is acknowledged", func() bool {
		text, _ = s.get("/metrics")
		return s.value(text, "read_bytes_total") == float64(len(recording)) && s.value(text, "waiting_bytes") == 0
	})
	lines := float64(strings.Count(string(recording), "\n"))
	calls := float64(strings.Count(string(recording), `"type":"callTools"`))
	for sample, want := range map[string]float64{
		"lines_total": lines, `events_total{type="callTools"}`: calls, "inputs": 1, `jobs{outcome="completed"}`: 1,
		"rejected_lines_total": 0, "oldest_line_age_seconds": 0, "journal_limit_bytes": 4 << 30, `failed_calls_total{class="throttled"}`: 0,
	} {
		if got := s.value(text, sample); got != want {
			t.Errorf("%s is %v, want %v", sample, got, want)
		}
	}
	if got := s.value(text, "puts_total"); got < 1 {
		t.Errorf("%v puts", got)
	}
	usage := s.command("usage", "--job", "d9urbpfdpmij1axcii58vgzr", "--csv")
	out, err := usage.Output()
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.Split(strings.TrimSpace(string(out)), "\n")
	names, row := strings.Split(rows[0], ","), strings.Split(rows[1], ",")
	of := map[string]string{}
	for i, name := range names {
		of[strings.TrimSpace(name)] = strings.TrimSpace(row[i])
	}
	for kind, column := range map[string]string{"input": "input_tokens", "output": "output_tokens", "cache_read": "cached_input_tokens", "reasoning": "reasoning_tokens"} {
		sample := `tokens_total{expert="worker",kind="` + kind + `"}`
		if got := s.value(text, sample); strconv.FormatFloat(got, 'f', -1, 64) != of[column] {
			t.Errorf("%s is %v, and usage prints %s %q", sample, got, column, of[column])
		}
	}
	for _, path := range []string{"/livez", "/readyz"} {
		if body, code := s.get(path); code != http.StatusOK || body != "ok\n" {
			t.Errorf("%s answers %d %q", path, code, body)
		}
	}
	s.in.Close()
	s.Wait(exitOK)
}

// CloudWatch being down does not make the shipper unhealthy.
func TestLivezDuringAnOutage(t *testing.T) {
	s := newScraped(t)
	s.Stall()
	if _, err := io.WriteString(s.in, "{\"type\":\"startRun\",\"jobId\":\"j\"}\n"); err != nil {
		t.Fatal(err)
	}
	s.Until("a line waits", func() bool {
		text, _ := s.get("/metrics")
		return s.value(text, "waiting_bytes") == 32 && s.value(text, "oldest_line_age_seconds") > 0
	})
	if body, code := s.get("/livez"); code != http.StatusOK {
		t.Errorf("/livez answers %d %q", code, body)
	}
	s.Unstall()
	s.in.Close()
	s.Wait(exitOK)
}

// A disk full of what an earlier process left is emptied first, by a loop of its own. The counters
// of the next loop continue from there.
func TestMetricsOnADiskFullOfLeftovers(t *testing.T) {
	w := newWorld(t)
	w.smallDisk(4)
	w.fillWithLeftovers()

	sc := w.scraped()
	var before string
	sc.Until("the old input is read", func() bool {
		before, _ = sc.get("/metrics")
		return sc.value(before, "lines_total") > 1000
	})
	w.Unstall()
	if _, err := io.WriteString(sc.in, "{\"type\":\"startRun\",\"jobId\":\"new\"}\n"); err != nil {
		t.Fatal(err)
	}
	var after string
	sc.Until("the new line is delivered", func() bool {
		after, _ = sc.get("/metrics")
		return sc.value(after, `events_total{type="startRun"}`) == 1 && sc.value(after, "waiting_bytes") == 0
	})
	for _, counter := range []string{"lines_total", "read_bytes_total", `events_total{type="callTools"}`} {
		if was, is := sc.value(before, counter), sc.value(after, counter); is < was {
			t.Errorf("%s went from %v to %v", counter, was, is)
		}
	}
	// The old input ends in half a line, which is an event of type text.
	if lines, types := sc.value(after, "lines_total"), sc.value(after, `events_total{type="callTools"}`)+sc.value(after, `events_total{type="text"}`); lines != types+1 {
		t.Errorf("%v lines, %v of them of the old input; want one more", lines, types)
	}
	sc.in.Close()
	sc.Wait(exitOK)
}

func TestAMetricsAddressThatIsTaken(t *testing.T) {
	s := newScraped(t)
	second := s.Start(s.command("--metrics-addr", s.address))
	second.Wait(exitUsage)
	if want := "perstack-shipper: --metrics-addr " + s.address + " is in use: stop the process that listens there, or choose another port\n"; second.Said() != want {
		t.Errorf("it printed %q, want %q", second.Said(), want)
	}
	s.in.Close()
	s.Wait(exitOK)
}
