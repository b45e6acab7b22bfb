package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"

	"perstack-shipper/shipper/terminal"
)

// TestJobsAtATerminal lists a job with names that are wider than the terminal, and that would clear
// it.
func TestJobsAtATerminal(t *testing.T) {
	t.Parallel()
	w := newLocalWorld(t)
	job := "\x1b[2J" + strings.Repeat("日本", 40)
	line := `{"type":"startRun","expertKey":"` + strings.Repeat("expert", 20) + `","timestamp":1795347082176,"jobId":` + quote(job) + `,"runId":"r","stepNumber":1}` + "\n"
	w.ship([]byte(line), "--log-group", "/perstack/terminal", "--log-stream", "all")

	for _, args := range [][]string{{"jobs", "--since", "2000-01-01"}, {"usage", "--since", "2000-01-01", "--by", "run"}} {
		command := w.command(append(args, "--log-group", "/perstack/terminal")...)
		shown := atTerminal(t, command, 200)
		if lines := strings.Split(strings.TrimSpace(shown), "\n"); len(lines) < 2 {
			t.Errorf("%q shows %q, want a table", args, shown)
		}
		if strings.Contains(shown, "\x1b") || !strings.Contains(shown, `\x1b[2J日本`) {
			t.Errorf("%q shows %q, want the escape sequence to be visible", args, shown)
		}
		for line := range strings.SplitSeq(shown, "\r\n") {
			if terminal.Width(line) > 200 {
				t.Errorf("%q shows a line of %d columns: %q", args, terminal.Width(line), line)
			}
		}
	}
}

// atTerminal runs a command with a terminal of that many columns as its stdout, and returns what
// the terminal shows.
func atTerminal(t *testing.T, command *exec.Cmd, columns uint16) string {
	t.Helper()
	ours, theirs, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	if err := pty.Setsize(ours, &pty.Winsize{Rows: 24, Cols: columns}); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	command.Stdout, command.Stderr = theirs, &said
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	shown, err := io.ReadAll(ours)
	if err != nil && !errors.Is(err, syscall.EIO) { // how a terminal reports that its last user has closed it
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil {
		t.Fatalf("%v: %s", err, &said)
	}
	return string(shown)
}

func quote(text string) string {
	data, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(data)
}
