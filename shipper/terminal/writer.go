package terminal

import (
	"io"
	"unicode/utf8"
)

// Writer escapes what is written to it with [EscapeText] and writes it to W. It is for an agent's
// lines on a terminal. Close writes an incomplete last character; it does not close W.
type Writer struct {
	W io.Writer

	rest []byte // the beginning of an incomplete character
}

// Write implements io.Writer.
func (w *Writer) Write(b []byte) (int, error) {
	data := append(w.rest, b...)
	whole := len(data)
	for back := 1; back < utf8.UTFMax && back <= len(data); back++ {
		if c := data[len(data)-back]; utf8.RuneStart(c) {
			if !utf8.FullRune(data[len(data)-back:]) {
				whole = len(data) - back
			}
			break
		}
	}
	w.rest = append([]byte(nil), data[whole:]...)
	if _, err := io.WriteString(w.W, EscapeText(string(data[:whole]))); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Close implements io.Closer.
func (w *Writer) Close() error {
	rest := w.rest
	w.rest = nil
	_, err := io.WriteString(w.W, EscapeText(string(rest)))
	return err
}
