package terminal

import (
	"fmt"
	"os"
	"sync"
)

// Line is a terminal whose last line can be rewritten. Writing to it removes that line first, so a
// logger and a status can share stderr.
type Line struct {
	File *os.File

	mu      sync.Mutex // guards showing, and keeps writes apart
	showing bool
}

// Write implements io.Writer.
func (l *Line) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clear()
	return l.File.Write(b)
}

// Sync implements zapcore.WriteSyncer. Nothing is buffered.
func (l *Line) Sync() error { return nil }

// Show replaces the last line with as much of text as fits.
func (l *Line) Show(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clear()
	if columns := Columns(l.File); columns > 1 {
		text = Fit(Escape(text), columns-1)
	}
	l.showing = true
	fmt.Fprint(l.File, text)
}

// Hide removes the line that Show put there.
func (l *Line) Hide() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clear()
}

func (l *Line) clear() {
	if l.showing {
		l.showing = false
		fmt.Fprint(l.File, "\r\x1b[K")
	}
}
