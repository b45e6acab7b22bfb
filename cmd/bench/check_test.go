package main

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"perstack-shipper/batch"
)

// served returns an endpoint for a test, and a function that puts to it.
func served(t *testing.T, memory int64) (*endpoint, func(body string)) {
	t.Helper()
	e := &endpoint{}
	var err error
	if e.keep, err = newKeeper(memory, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	if e.cert, _, err = newCertificate(); err != nil {
		t.Fatal(err)
	}
	if err := e.back(); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(func() {
		client.CloseIdleConnections()
		if err := e.away(); err != nil {
			t.Error(err)
		}
	})
	return e, func(body string) {
		t.Helper()
		req, err := http.NewRequest(http.MethodPost, "http://"+e.addrs[0], strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Amz-Target", "Logs_20140328.PutLogEvents")
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatal(resp.Status, err)
		}
	}
}

// bodyOf returns the body of a put of events that are a millisecond apart.
func bodyOf(messages ...string) string {
	body := jsonBody{Group: "g", Stream: "s"}
	for i, m := range messages {
		body.Events = append(body.Events, jsonEvent{int64(1000 + i), m})
	}
	return asJSON(body)
}

// linesOf returns the first n lines of a workload and their checksum.
func linesOf(n int) (lines []string, sum uint64) {
	w := workload{Jobs: 1, Base: 1_795_348_000_000}
	for i := range n {
		line := bytes.TrimSuffix(w.appendLine(nil, i), []byte("\n"))
		lines = append(lines, string(line))
		sum += lineSum(line)
	}
	return lines, sum
}

// shipped returns a line as perstack-shipper puts it.
func shipped(line string, seq int) string {
	return fmt.Sprintf(`{"shipper":{"input":"k3v9x2ab","seq":%d},%s`, seq, line[1:])
}

// TestCheck checks that correct puts pass, and that every kind of fault is found.
func TestCheck(t *testing.T) {
	lines, sum := linesOf(4)
	all := []string{`{"shipper":{"record":"open","input":"k3v9x2ab"},"type":"shipper.open"}`}
	for i, line := range lines {
		all = append(all, shipped(line, i+1))
	}
	one, two, three := []string{lines[0], lines[1]}, lines[2], lines[3]
	for _, c := range []struct {
		name  string
		form  form
		puts  []string
		wrong string // text in the problem; "": no problem
	}{
		{"lines", formLine, []string{bodyOf(one...), bodyOf(two, three)}, ""},
		{"in another order", formLine, []string{bodyOf(two, three), bodyOf(one...)}, ""},
		{"one missing", formLine, []string{bodyOf(lines[:3]...)}, "3 of 4 lines arrived"},
		{"one twice", formLine, []string{bodyOf(lines...), bodyOf(two)}, "twice"},
		{"one changed", formLine, []string{bodyOf(strings.Replace(lines[0], "streamReasoning", "streamreasoning", 1), lines[1], two, three)}, "checksum"},
		{"no line of ours", formLine, []string{bodyOf(append(lines, "x")...)}, "not a line of this workload"},
		{"shipped", formShipper, []string{bodyOf(all[:3]...), bodyOf(all[3:]...)}, ""},
		{"shipped, one missing", formShipper, []string{bodyOf(all[:4]...)}, "3 of 4 lines arrived"},
		{"shipped, a seq twice", formShipper, []string{bodyOf(append(all, shipped(lines[3], 3))...)}, "twice"},
		{"shipped, a seq too high", formShipper, []string{bodyOf(shipped(lines[0], 9))}, "not a line of this workload"},
		{"shipped by two", formShipper, []string{bodyOf(all[:4]...), bodyOf(strings.Replace(all[4], "k3v9x2ab", "another", 1))}, "two inputs"},
		{"not as it was", formShipper, []string{bodyOf(append(all[:4:4], strings.Replace(all[4], `"seq":4`, `"seq":4,"lossy":true`, 1))...)}, "not shipped unchanged"},
		{"foreign", formShipper, []string{bodyOf(append(all, "x")...)}, "not an event of perstack-shipper"},
		{"found in anything", formFound, []string{bodyOf(`{"log":`+asJSON(lines[0])+`}`, "x "+lines[1], two, three)}, ""},
		{"found, one missing", formFound, []string{bodyOf(one...)}, "2 of 4 lines arrived"},
		{"out of order", formLine, []string{asJSON(jsonBody{Events: []jsonEvent{{2, lines[0]}, {1, lines[1]}, {3, two}, {4, three}}})}, "not in order of time"},
		{"over the limit", formFound, []string{bodyOf(append(lines, strings.Repeat("x", batch.MaxBatchBytes))...)}, "exceeds the limits"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, put := served(t, 4096) // so that some bodies go to the file
			for _, body := range c.puts {
				put(body)
			}
			a, err := e.check(&order{Form: c.form, Lines: len(lines), Sum: sum})
			if err != nil {
				t.Fatal(err)
			}
			said := strings.Join(a.Problems, "; ")
			if (c.wrong == "") != (said == "") || !strings.Contains(said, c.wrong) {
				t.Errorf("the problems are %q, want %q among them", said, c.wrong)
			}
			if a.Puts != len(c.puts) || a.InFlight != 1 {
				t.Errorf("%d puts, %d at once; want %d, one at a time", a.Puts, a.InFlight, len(c.puts))
			}
		})
	}
}
