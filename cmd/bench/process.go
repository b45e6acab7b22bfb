package main

// This file runs measured programs: processes with a pipe as stdin, and what the kernel reports
// when they end.

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// program is a program that ships its stdin.
type program struct {
	name string
	argv []string
	env  []string // in addition to the cleaned environment
}

// usage is the resource usage of a process.
type usage struct {
	wall time.Duration // from start to end
	cpu  time.Duration // user and system
	rss  int64         // peak, bytes
}

// process is a running program.
type process struct {
	name   string
	cmd    *exec.Cmd
	stdin  *os.File // the write end of the pipe
	began  time.Time
	stderr bytes.Buffer
	stdout bytes.Buffer
}

// start starts p.
func (p *program) start() (*process, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	run := &process{name: p.name, cmd: exec.Command(p.argv[0], p.argv[1:]...), stdin: w}
	run.cmd.Env = append(cleanEnviron(), p.env...)
	run.cmd.Stdin, run.cmd.Stdout, run.cmd.Stderr = r, &run.stdout, &limited{to: &run.stderr}
	// Do not wait long for a child of the command that keeps its output open.
	run.cmd.WaitDelay = time.Second
	run.began = time.Now()
	err = run.cmd.Start()
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", p.name, err), w.Close())
	}
	return run, nil
}

// cleanEnviron returns our environment without variables that change where and how the programs
// ship.
func cleanEnviron() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "AWS_") || strings.HasPrefix(v, "PERSTACK_SHIPPER_") || strings.HasPrefix(v, "GOMAXPROCS=") ||
			strings.HasPrefix(v, "GOGC=") || strings.HasPrefix(v, "GOMEMLIMIT=") || strings.HasPrefix(v, "GODEBUG=") || strings.HasPrefix(v, "HTTP_PROXY") || strings.HasPrefix(v, "http_proxy")
	})
}

// limited keeps the first 16 KiB that are written to it.
type limited struct{ to *bytes.Buffer }

// Write keeps what fits, and counts the rest as written.
func (l *limited) Write(p []byte) (int, error) {
	if room := 16<<10 - l.to.Len(); room > 0 {
		l.to.Write(p[:min(len(p), room)])
	}
	return len(p), nil
}

// feed writes the file to the process's stdin and closes it. It ignores that the process ends
// early, which wait reports.
func (p *process) feed(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return errors.Join(err, p.stdin.Close())
	}
	defer f.Close()
	if err := feed(f, p.stdin); err != nil && !errors.Is(err, syscall.EPIPE) {
		return fmt.Errorf("feeding %s: %w", p.name, err)
	}
	return nil
}

// wait waits for the process to succeed.
func (p *process) wait() (usage, error) {
	u, err := p.end()
	if err != nil {
		return u, fmt.Errorf("%s: %w: %s", p.name, err, cmp.Or(lastLines(p.stderr.String()), "no output"))
	}
	return u, nil
}

// end waits for the process to end in any way.
func (p *process) end() (usage, error) {
	err := p.cmd.Wait()
	u := usage{wall: time.Since(p.began)}
	if p.cmd.ProcessState == nil {
		return u, err
	}
	r, ok := p.cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return u, errors.New("this system does not report the resource usage of processes")
	}
	u.cpu = time.Duration(r.Utime.Nano() + r.Stime.Nano())
	u.rss = r.Maxrss << 10 // Linux counts in KiB
	return u, err
}

// kill kills the process.
func (p *process) kill() (usage, error) {
	p.stdin.Close()
	if err := p.cmd.Process.Kill(); err != nil {
		return usage{}, err
	}
	u, err := p.end()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = nil
	}
	return u, err
}

// lastLines returns the last lines of a program's output, joined into one.
func lastLines(said string) string {
	lines := strings.Split(strings.TrimSpace(said), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], "; ")
}

// call runs one of our own roles, which prints its answer as JSON.
func (b *bench) call(into any, env []string, args ...string) error {
	p := program{name: args[0], argv: append([]string{b.self}, args...), env: env}
	run, err := p.start()
	if err != nil {
		return err
	}
	run.stdin.Close()
	if _, err := run.wait(); err != nil {
		return err
	}
	if err := json.NewDecoder(&run.stdout).Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: its answer: %w", p.name, err)
	}
	return nil
}
