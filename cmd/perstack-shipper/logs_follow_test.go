package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"perstack-shipper/shipper/cwlocal"
	"perstack-shipper/shipper/cwlocal/localtest"
)

// TestFollowWhileItRuns follows a job while a recording of one is written at its original speed.
// The endpoint throttles, hides new events for half a second, and repeats pages. Each line must
// arrive once, in order and soon, and following must end by itself.
func TestFollowWhileItRuns(t *testing.T) {
	t.Parallel()
	w := newObservedWorld(t, cwlocal.Options{
		ReadableAfter: 500 * time.Millisecond, RepeatPages: true,
		Intercept: func(call *cwlocal.Call) cwlocal.Fault {
			if call.N%4 == 0 {
				return localtest.Throttle()
			}
			return cwlocal.Fault{}
		},
	})
	lines := inRealTime(t, w.recording("delegate-parallel.jsonl"))

	follow := w.command("logs", "--log-group", "/perstack/live", "--job", "rg5xjsjyitoxtwsf2dwjccga", "--follow")
	ship := w.command("--log-group", "/perstack/live", "--flush-interval", "100ms")
	stdin, err := ship.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := follow.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said, shipped bytes.Buffer
	follow.Stderr, ship.Stderr = &said, &shipped
	if err := ship.Start(); err != nil {
		t.Fatal(err)
	}

	var mu sync.Mutex
	written := make([]time.Time, len(lines))
	began := time.Now()
	go func() {
		for i, line := range lines {
			time.Sleep(time.Until(began.Add(line.after)))
			mu.Lock()
			written[i] = time.Now()
			mu.Unlock()
			if _, err := stdin.Write(line.stamped(began)); err != nil {
				t.Error(err)
			}
		}
		stdin.Close()
	}()
	w.Until("the group exists", func() bool { return slices.Contains(w.Server.Groups(), "/perstack/live") })
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	var worst time.Duration
	n := 0
	for scanner := bufio.NewReader(stdout); ; n++ {
		line, err := scanner.ReadBytes('\n')
		if err != nil {
			break
		}
		if n == len(lines) {
			t.Fatalf("there is a line too many: %.200s", line)
		}
		if want := lines[n].stamped(began); !bytes.Equal(line, want) {
			t.Fatalf("line %d is %.200s, want %.200s", n+1, line, want)
		}
		mu.Lock()
		late := time.Since(written[n])
		mu.Unlock()
		worst = max(worst, late)
	}
	if err := follow.Wait(); err != nil || n != len(lines) {
		t.Errorf("%d of %d lines, %v\n%s", n, len(lines), err, &said)
	}
	if err := ship.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &shipped)
	}
	t.Logf("%d lines in %v; the slowest arrived %v after it was written", n, time.Since(began), worst)
	if worst > 30*time.Second { // 3 s on an idle machine
		t.Errorf("a line arrived %v after it was written", worst)
	}
}

// timedLine is a line of a recording, and the time from the first line to it.
type timedLine struct {
	text  string
	stamp int64
	after time.Duration
}

// stamped returns the line with the time at which it is written now.
func (l timedLine) stamped(began time.Time) []byte {
	now := began.Add(l.after).UnixMilli()
	return []byte(strings.Replace(l.text, fmt.Sprintf(`"timestamp":%d`, l.stamp), fmt.Sprintf(`"timestamp":%d`, now), 1) + "\n")
}

// inRealTime splits a recording into its lines.
func inRealTime(t *testing.T, data []byte) []timedLine {
	t.Helper()
	var lines []timedLine
	latest := int64(0)
	for _, line := range nonEmpty(data) {
		var event struct{ Timestamp int64 }
		if err := json.Unmarshal(line, &event); err != nil {
			t.Fatal(err)
		}
		l := timedLine{text: string(line), stamp: event.Timestamp}
		if len(lines) > 0 {
			latest = max(latest, event.Timestamp)
			l.after = time.Duration(latest-lines[0].stamp) * time.Millisecond
		}
		lines = append(lines, l)
	}
	return lines
}

// TestLogsAtATerminal shows that an agent's output cannot steer a terminal, and when output has
// colors.
func TestLogsAtATerminal(t *testing.T) {
	t.Parallel()
	w := newLocalWorld(t)
	line := `{"type":"startRun","expertKey":"e","timestamp":1795347082176,"jobId":"j","runId":"r","stepNumber":1}` + "\n\x1b[2Jgone\u009b2J\u202e\n"
	w.ship([]byte(line), "--log-group", "/perstack/terminal")
	for _, test := range []struct {
		args, env    []string
		want, absent string
	}{
		{nil, nil, `\x1b[2Jgone\u009b2J\u202e` + "\r\n", "\x1b"},
		{[]string{"--follow"}, nil, `\x1b[2Jgone\u009b2J\u202e` + "\r\n", "\x1b"},
		{[]string{"--pretty"}, []string{"TERM=xterm"}, "\x1b[36me           \x1b[0m", "\x1b[2Jgone"},
		{[]string{"--pretty", "--follow"}, []string{"TERM=xterm"}, "\x1b[36me           \x1b[0m", "\x1b[2Jgone"},
		{[]string{"--pretty"}, []string{"TERM=xterm", "NO_COLOR=1"}, `\x1b[2Jgone\u009b2J\u202e`, "\x1b"},
		{[]string{"--pretty"}, []string{"TERM=dumb"}, `\x1b[2Jgone\u009b2J\u202e`, "\x1b"},
	} {
		command := w.command(append([]string{"logs", "--log-group", "/perstack/terminal", "--job", "j"}, test.args...)...)
		command.Env = append(command.Env, test.env...)
		if shown := atTerminal(t, command, 120); !strings.Contains(shown, test.want) || strings.Contains(shown, test.absent) {
			t.Errorf("%q %q shows %q", test.args, test.env, shown)
		}
	}
}
