package main

import (
	"fmt"
	"os"
	"sync"

	"perstack-shipper/config"
	"perstack-shipper/shipper/terminal"
)

// statusLine is a terminal of which the last line is rewritten: what is written to it takes that
// line away first. It is stderr, which the logger and the status share.
type statusLine struct {
	file *os.File

	mu      sync.Mutex
	showing bool
}

// stderr is where messages and the status line go.
var stderr = &statusLine{file: os.Stderr}

// Write implements io.Writer.
func (l *statusLine) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clear()
	return l.file.Write(b)
}

// Sync implements zapcore.WriteSyncer.
func (l *statusLine) Sync() error { return nil }

// show puts text, as far as it fits, in the place of the line before.
func (l *statusLine) show(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clear()
	if columns := terminal.Columns(l.file); columns > 1 {
		text = terminal.Fit(terminal.Escape(text), columns-1)
	}
	l.showing = true
	fmt.Fprint(l.file, text)
}

// hide takes the line away that is shown.
func (l *statusLine) hide() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clear()
}

func (l *statusLine) clear() {
	if l.showing {
		l.showing = false
		fmt.Fprint(l.file, "\r\x1b[K")
	}
}

// statusFor returns what shows a status line, or nil where a person would not see it: stderr is no
// terminal, or its messages are for machines.
func statusFor(options config.Log) func(string) {
	if options.LogFormat == "json" || !isTerminal(stderr.file) {
		return nil
	}
	return stderr.show
}
