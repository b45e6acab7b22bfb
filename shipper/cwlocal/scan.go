package cwlocal

// Reads the body of PutLogEvents in one pass, its messages unescaped into one buffer.

import (
	"slices"

	"perstack-shipper/batch"
)

// scanned is one event as the body has it.
type scanned struct {
	timestamp        int64
	start, end       int // of the message in putLogEvents.data; start is -1 when there is none
	rawStart, rawEnd int // of its JSON string in the body, without the quotes
	hasTimestamp     bool
}

// scan reads the body of a PutLogEvents. Members that the model does not have are ignored, as the service does.
func (p *putLogEvents) scan(body []byte) error {
	p.body = body
	p.data = slices.Grow(p.data[:0], len(body)+8) // no message is longer than its JSON
	s := &scanner{b: body}
	for n := 0; ; n++ {
		name, more, err := s.member(n)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		switch string(name) {
		case "logGroupName":
			p.group, err = s.text()
		case "logStreamName":
			p.stream, err = s.text()
		case "sequenceToken":
			_, err = s.text() // the service ignores it
		case "logEvents":
			err = p.scanEvents(s)
		case "entity":
			if s.null() {
				continue
			}
			from := s.i
			if err = s.skip(0); err == nil {
				p.entity = body[from:s.i]
			}
		default:
			err = s.skip(0)
		}
		if err != nil {
			return err
		}
	}
	if s.peek(); s.i < len(body) {
		return s.fail("the end of the body")
	}
	return nil
}

// scanEvents takes the array of events. Those over the limit of a batch are counted, but not kept.
func (p *putLogEvents) scanEvents(s *scanner) error {
	p.events, p.data, p.count = p.events[:0], p.data[:0], 0 // of two the last counts
	if s.null() {
		return nil
	}
	for n := 0; ; n++ {
		more, err := s.element(n)
		if !more {
			return err
		}
		if p.count++; p.count > batch.MaxBatchEvents {
			err = s.skip(0)
		} else {
			err = p.scanEvent(s)
		}
		if err != nil {
			return err
		}
	}
}

// scanEvent takes one event.
func (p *putLogEvents) scanEvent(s *scanner) error {
	e := scanned{start: -1}
	for n := 0; ; n++ {
		name, more, err := s.member(n)
		if err != nil {
			return err
		}
		if !more {
			p.events = append(p.events, e)
			return nil
		}
		switch {
		case string(name) == "timestamp":
			if !s.null() {
				e.hasTimestamp = true
				e.timestamp, err = s.integer()
			}
		case string(name) == "message":
			if !s.null() {
				e.start = len(p.data)
				s.space()
				e.rawStart = s.i + 1
				p.data, err = s.message(p.data)
				e.end, e.rawEnd = len(p.data), s.i-1
			}
		case p.restoring && string(name) == "ingestionTime":
			p.ingestion, err = s.integer()
		default:
			err = s.skip(1)
		}
		if err != nil {
			return err
		}
	}
}
