package batch

// This file turns the message of a CloudWatch event back into the piece of the input that it holds.
// It undoes, byte for byte, what building an event did: it takes the shipper member out of a line,
// the line out of a text event, or the data out of a part. It keeps no state. Joining parts and
// dropping repeats is up to the reader of a stream.

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
)

// ErrForeign means that perstack-shipper did not write a message. Readers skip such events.
var ErrForeign = errors.New("not an event of perstack-shipper")

// Restored is the content of one CloudWatch message.
type Restored struct {
	// Record is "" for a line. For one of the shipper's own records it is the kind, such as "open"
	// or "seal".
	Record string
	// Input and Seq identify the line. Seq counts the non-empty lines of an input from 1. A record
	// has Seq 0.
	Input string
	Seq   int64
	// Empty is the number of empty lines directly before this one.
	Empty int64
	// Excluded is the number of lines directly before this one that were left out. Redacted is the
	// number of matches removed from the line, or from this part of it.
	Excluded, Redacted int64
	// Part is 0 if Line is the whole line. Otherwise it is the number, from 1, of the part that
	// Line holds. Last marks the last part of a line.
	Part int
	Last bool

	Mark      bool     // the line began with a byte order mark, which the message lacks
	Text      bool     // the line is not, or not known to be, a JSON object
	Lossy     bool     // bytes of the line that were not UTF-8 are now U+FFFD
	NoNewline bool     // the input ended after Line, without a newline
	Source    string   // "stderr" if that is known
	Added     []string // the names of the members that the line itself did not have
	// At is the line's own time, in ms since 1970, if CloudWatch would have refused it, and
	// otherwise 0.
	At int64

	// Line is the original line, or this part of it, without the newline. For a record it is the
	// whole message. It may share memory with the message.
	Line []byte
	// Type, JobID and RunID are top-level members of the event, including ids that were added. They
	// are "" if absent or not a string. If a member repeats, the last one counts.
	Type, JobID, RunID string
	// ShipperMember is the value of the shipper member, a JSON object, as it is in the message. It
	// shares the memory of the message.
	ShipperMember []byte
}

// Restore takes apart the message of a CloudWatch event. It reads no more than it needs, so it
// restores a message in our form even if the line is no longer JSON. All its errors wrap
// [ErrForeign].
func Restore(message []byte) (Restored, error) {
	s := unsplice{b: message}
	s.space()
	brace := s.i
	if !s.take(`{"shipper":`) || s.peek() != '{' {
		return Restored{}, foreign("it does not start with a shipper member")
	}
	var r Restored
	value := s.i
	if err := s.shipperMember(&r); err != nil {
		return Restored{}, err
	}
	r.ShipperMember = message[value:s.i]

	switch {
	case r.Record != "":
		r.Line = message
		s.after(&r, "")
	case r.Part > 0:
		data, ok := s.after(&r, "data")
		if !ok {
			return Restored{}, foreign("a part without data")
		}
		r.Line = data
	case r.Text:
		line, ok := s.after(&r, "message")
		if !ok {
			return Restored{}, foreign("a text event without message")
		}
		r.Line = line
	default:
		if !s.added(&r) {
			return Restored{}, foreign("the members that were added do not follow")
		}
		comma := s.peek() == ','
		if comma {
			s.i++
		}
		rest := message[s.i:]
		// Without a comma, the line was an object without members.
		s.space()
		if want := s.peek(); comma && want != '"' || !comma && want != '}' {
			return Restored{}, foreign("the line does not continue after the shipper member")
		}
		if end := bytes.TrimRight(rest, jsonSpace); len(end) == 0 || end[len(end)-1] != '}' {
			return Restored{}, foreign("the line does not end in a brace")
		}
		r.Line = make([]byte, 0, len(byteOrderMark)+brace+1+len(rest))
		if r.Mark {
			r.Line = append(r.Line, byteOrderMark...)
		}
		r.Line = append(append(r.Line, message[:brace+1]...), rest...)
		s.members(func(key, value []byte) bool {
			// The line does not have an id that was added, or not as a string.
			if len(r.Added) == 0 || !slices.Contains(r.Added, string(key)) {
				r.id(key, value)
			}
			return true
		})
	}
	return r, nil
}

func foreign(why string) error { return fmt.Errorf("%w: %s", ErrForeign, why) }

// id takes an id from one top-level member. If a name repeats, the last one counts.
func (r *Restored) id(key, value []byte) {
	if field := r.idField(string(key)); field != nil {
		*field, _ = quotedText(value)
	}
}

func (r *Restored) idField(name string) *string {
	switch name {
	case "type":
		return &r.Type
	case "jobId":
		return &r.JobID
	case "runId":
		return &r.RunID
	}
	return nil
}

// shipperMember reads the value of the shipper member, starting at its brace. Unknown members come
// from --field.
func (s *unsplice) shipperMember(r *Restored) error {
	s.i++ // the brace
	bad := ""
	ok := s.members(func(key, value []byte) bool {
		fits := true
		switch string(key) {
		case "record":
			r.Record, fits = quotedText(value)
		case "input":
			r.Input, fits = quotedText(value)
		case "seq":
			r.Seq, fits = count(value, 1, math.MaxInt64)
		case "empty":
			r.Empty, fits = count(value, 0, math.MaxInt64)
		case "excluded":
			r.Excluded, fits = count(value, 0, math.MaxInt64)
		case "redacted":
			r.Redacted, fits = count(value, 0, math.MaxInt64)
		case "part":
			var part int64
			part, fits = count(value, 1, math.MaxInt32)
			r.Part = int(part)
		case "last":
			r.Last, fits = truth(value)
		case "text":
			r.Text, fits = truth(value)
		case "bom":
			r.Mark, fits = truth(value)
		case "source":
			r.Source, fits = quotedText(value)
		case "added":
			r.Added, fits = quotedTexts(value)
		case "lossy":
			r.Lossy, fits = truth(value)
		case "newline":
			var newline bool
			newline, fits = truth(value)
			r.NoNewline = !newline
		case "at":
			// A line's own time can be anything. If it is not an integer, ignore the time rather
			// than the line.
			r.At, _ = count(value, math.MinInt64, math.MaxInt64)
		}
		if !fits {
			bad = string(key)
		}
		return fits
	})
	switch {
	case bad != "":
		return foreign("shipper." + bad + " has an unexpected form")
	case !ok:
		return foreign("the shipper member is not a JSON object")
	case r.Record != "":
		r.Seq = 0
	case r.Input == "" || r.Seq == 0:
		return foreign("the shipper member names no input and seq, and no record")
	}
	return nil
}

// added skips the members that were inserted after the shipper member: one string for each name in
// r.Added, in order.
func (s *unsplice) added(r *Restored) bool {
	for _, name := range r.Added {
		if !s.take(`,"`) || !s.take(name) || !s.take(`":`) || s.peek() != '"' {
			return false
		}
		value, ok := s.value()
		if !ok {
			return false
		}
		r.id([]byte(name), value)
	}
	return true
}

// after reads the members after the shipper member in a message that holds no line of the agent's.
// It takes the ids, and returns the string in the member called name. ok reports whether that
// member was there and nothing followed the object.
func (s *unsplice) after(r *Restored, name string) (text []byte, ok bool) {
	s.space()
	if s.peek() == ',' {
		s.i++
	}
	found := false
	whole := s.members(func(key, value []byte) bool {
		if string(key) == name && value[0] == '"' {
			text, found = unquoted(value), true
			return true
		}
		r.id(key, value)
		return true
	})
	s.space()
	return text, found && whole && s.i == len(s.b)
}
