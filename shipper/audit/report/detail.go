package report

// This file formats the members of an event: in their order, with long values folded.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"perstack-shipper/shipper/audit/event"
)

const (
	maxShort  = 160  // bytes of a value that is not folded
	maxLong   = 4000 // bytes that are kept of a long value
	minLong   = 250  // the same in the longest jobs
	maxDetail = 8000 // bytes of a whole event
)

// piece is either some short members as text or, with Long, one member whose value is folded.
type piece struct {
	long    bool
	text    string // the text, or the folded value
	preview string // what is visible of a folded value
	size    int    // bytes of a folded value
	cut     int    // bytes of the value that were cut off
}

// fold returns the members of an event, or the line itself if it is not an event. It keeps long
// bytes of each long value.
func fold(line []byte, long int) []piece {
	members, ok := event.Members(line)
	if !ok {
		return []piece{longPiece("", string(line), long)}
	}
	var pieces []piece
	var short strings.Builder
	flush := func() {
		if short.Len() > 0 {
			pieces = append(pieces, piece{text: short.String()})
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
		p.size = len(m.Value)
		size += len(p.text)
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
	return piece{long: true, text: strings.Clone(kept), preview: name + start(preview, 100) + "…", size: len(text), cut: len(text) - len(kept)}
}

// valueText formats a long value for a person: a string without quotes and escapes, anything else
// indented.
func valueText(value json.RawMessage) string {
	if value[0] == '"' {
		var s string
		if json.Unmarshal(value, &s) == nil {
			return s
		}
	}
	// Indenting a value of megabytes to keep only some kilobytes of it would be a waste.
	if len(value) > 4*maxLong {
		return start(string(value), 2*maxLong)
	}
	var b bytes.Buffer
	if json.Indent(&b, value, "", "  ") != nil {
		return string(value)
	}
	return b.String()
}
