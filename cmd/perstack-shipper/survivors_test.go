package main

// This file compares how much of its output survives when an agent throws right after it has
// written 6 MB, depending on where the output goes.

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// nodeAgent does what Perstack does: it writes events to stdout, which Node queues in memory if
// stdout is a pipe, and then throws.
const nodeAgent = `
const text = "x".repeat(1000)
for (let n = 0, sent = 0; sent < 6e6; n++) {
	const line = JSON.stringify({ type: "continueToNextStep", jobId: "j", runId: "r", n, text }) + "\n"
	sent += line.length
	process.stdout.write(line)
}
throw new Error("the provider failed")
`

// throwingAgent does the same without Node. It is the command throwing-agent of the tests. What the
// pipe does not take at once is lost.
func throwingAgent() {
	stdout := int(os.Stdout.Fd())
	if info, err := os.Stdout.Stat(); err == nil && !info.Mode().IsRegular() {
		if err := syscall.SetNonblock(stdout, true); err != nil {
			os.Exit(3)
		}
	}
	for n, sent := 0, 0; sent < 6e6; n++ {
		line := fmt.Appendf(nil, `{"type":"continueToNextStep","jobId":"j","runId":"r","n":%d,"text":"%s"}`+"\n", n, strings.Repeat("x", 1000))
		sent += len(line)
		for len(line) > 0 {
			wrote, err := syscall.Write(stdout, line)
			if err != nil { // the pipe is full: Node would keep this line and all later ones in memory and lose them
				os.Exit(1)
			}
			line = line[wrote:]
		}
	}
	os.Exit(1)
}

func TestSurvivorsOfAThrow(t *testing.T) {
	t.Parallel()
	script := filepath.Join(t.TempDir(), "agent.js")
	if err := os.WriteFile(script, []byte(nodeAgent), 0o600); err != nil {
		t.Fatal(err)
	}
	agents := map[string]string{"without Node": "throwing-agent"}
	if _, err := exec.LookPath("node"); err == nil {
		agents["Node"] = "node " + script
	} else {
		t.Log("NOT TESTED with Node, which is not installed")
	}
	for name, agent := range agents {
		t.Run(name, func(t *testing.T) {
			whole := filepath.Join(t.TempDir(), "whole")
			if out, err := exec.CommandContext(lifetime(t), "sh", "-c", agent+" >"+whole).CombinedOutput(); !errors.As(err, new(*exec.ExitError)) {
				t.Fatalf("it did not throw: %v, %s", err, out)
			}
			want, err := os.ReadFile(whole)
			if err != nil || len(want) < 6e6 {
				t.Fatalf("it wrote %d bytes to a file, %v", len(want), err)
			}
			got := map[string][]int{}
			for range 2 {
				got["| cat"] = append(got["| cat"], len(outputOf(t, agent+" 2>/dev/null | cat")))
				for way, code := range map[string]int{"| perstack-shipper": exitOK, "perstack-shipper exec": 1} {
					w := newSerialWorld(t)
					c := w.command("exec", "--", "sh", "-c", agent)
					if way[0] == '|' {
						c = w.sh(agent + " | perstack-shipper")
					}
					w.Start(c).Wait(code)
					came := w.text("")
					got[way] = append(got[way], len(came))
					if piped := way[0] == '|'; !strings.HasPrefix(string(want), came) || !piped && len(came) != len(want) {
						t.Errorf("%s: %d bytes arrived of %d, or they differ", way, len(came), len(want))
					}
				}
			}
			for _, way := range []string{"| cat", "| perstack-shipper", "perstack-shipper exec"} {
				slices.Sort(got[way])
				t.Logf("%-22s %8d to %8d bytes survive of %d", way, got[way][0], got[way][len(got[way])-1], len(want))
			}
		})
	}
}
