package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"perstack-shipper/shipper/audit/event"
)

// This file lays out an event's members for a person: in their order, short values as they are and
// long ones folded.

const (
	maxShort  = 160  // bytes of a value that is shown as it is
	maxLong   = 4000 // bytes of a long value that are kept, at first
	minLong   = 250  // and where a job is long
	maxDetail = 8000 // bytes of all of an event
)

// piece is a stretch of members as text or, where Long, one member whose value is folded.
type piece struct {
	Long    bool
	Text    string // the text, or what is behind the fold
	Preview string // what is shown of a long value
	Size    int    // bytes of a long value
	Cut     int    // bytes of it that are left out
}

// fold returns the members of an event, or the line itself if it is no event. It keeps so many bytes
// of each long value.
func fold(line []byte, long int) []piece {
	members, ok := event.Members(line)
	if !ok {
		return []piece{longPiece("", string(line), long)}
	}
	var pieces []piece
	var short strings.Builder
	flush := func() {
		if short.Len() > 0 {
			pieces = append(pieces, piece{Text: short.String()})
			short.Reset()
		}
	}
	size := 0
	for i, m := range members {
		if size > maxDetail {
			fmt.Fprintf(&short, "… and %d more members\n", len(members)-i)
			break
		}
		if len(m.Value) <= maxShort {
			fmt.Fprintf(&short, "%s: %s\n", m.Name, m.Value)
			size += len(m.Name) + len(m.Value)
			continue
		}
		flush()
		p := longPiece(m.Name, valueText(m.Value), long)
		p.Size = len(m.Value)
		size += len(p.Text)
		pieces = append(pieces, p)
	}
	flush()
	return pieces
}

func longPiece(name, text string, long int) piece {
	kept := start(text, long)
	if name != "" {
		name += ": "
	}
	preview := strings.Join(strings.Fields(start(text, maxShort)), " ")
	return piece{Long: true, Text: strings.Clone(kept), Preview: name + start(preview, 100) + "…", Size: len(text), Cut: len(text) - len(kept)}
}

// valueText returns a long value as a person reads it: a string without its quotes and escapes,
// anything else indented.
func valueText(value json.RawMessage) string {
	if value[0] == '"' {
		var s string
		if json.Unmarshal(value, &s) == nil {
			return s
		}
	}
	// Indenting all of a value of megabytes, to keep some kilobytes of it, would be waste.
	if len(value) > 4*maxLong {
		return start(string(value), 2*maxLong)
	}
	var b bytes.Buffer
	if json.Indent(&b, value, "", "  ") != nil {
		return string(value)
	}
	return b.String()
}
