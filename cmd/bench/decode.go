package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// This file decodes the bodies of puts: as much JSON as there is in them, at the speed of their bytes, and with no code of the program that is measured.

// decoder reads one body. Its zero value is ready, and it is kept from body to body for its scratch memory.
type decoder struct {
	b       []byte
	i       int
	message []byte
	text    []byte
}

var errBody = errors.New("a put's body is not what PutLogEvents wants")

// body calls each with the events of a body, in their order. The message is valid during the call.
func (d *decoder) body(body []byte, each func(timestamp int64, message []byte) error) (group, stream string, err error) {
	d.b, d.i = body, 0
	err = d.object(func(key string) (err error) {
		switch key {
		case "logGroupName":
			d.text, err = d.str(d.text[:0])
			group = string(d.text)
		case "logStreamName":
			d.text, err = d.str(d.text[:0])
			stream = string(d.text)
		case "logEvents":
			err = d.array(func() error { return d.event(each) })
		default:
			err = d.skip()
		}
		return err
	})
	if err == nil {
		d.space()
		if d.i < len(d.b) {
			err = d.fail("the end")
		}
	}
	return group, stream, err
}

func (d *decoder) event(each func(int64, []byte) error) error {
	timestamp := int64(-1)
	found := false
	err := d.object(func(key string) (err error) {
		switch key {
		case "timestamp":
			timestamp, err = d.integer()
		case "message":
			found = true
			d.message, err = d.str(d.message[:0])
		default:
			err = d.skip()
		}
		return err
	})
	if err != nil {
		return err
	}
	if timestamp < 0 || !found {
		return d.fail("timestamp and message")
	}
	return each(timestamp, d.message)
}

func (d *decoder) fail(want string) error {
	return fmt.Errorf("%w: at byte %d %s is due", errBody, d.i, want)
}

func (d *decoder) space() {
	for d.i < len(d.b) && (d.b[d.i] == ' ' || d.b[d.i] == '\n' || d.b[d.i] == '\t' || d.b[d.i] == '\r') {
		d.i++
	}
}

// next takes the byte c, and white space before it.
func (d *decoder) next(c byte) bool {
	d.space()
	if d.i < len(d.b) && d.b[d.i] == c {
		d.i++
		return true
	}
	return false
}

func (d *decoder) object(member func(key string) error) error {
	if !d.next('{') {
		return d.fail("an object")
	}
	if d.next('}') {
		return nil
	}
	for {
		d.space()
		var err error
		if d.text, err = d.str(d.text[:0]); err != nil {
			return err
		}
		key := ""
		switch string(d.text) { // the names that matter, without a copy
		case "timestamp":
			key = "timestamp"
		case "message":
			key = "message"
		default:
			key = string(d.text)
		}
		if !d.next(':') {
			return d.fail("a colon")
		}
		d.space()
		if err := member(key); err != nil {
			return err
		}
		if d.next(',') {
			continue
		}
		if d.next('}') {
			return nil
		}
		return d.fail("a comma or a brace")
	}
}

func (d *decoder) array(element func() error) error {
	if !d.next('[') {
		return d.fail("an array")
	}
	if d.next(']') {
		return nil
	}
	for {
		d.space()
		if err := element(); err != nil {
			return err
		}
		if d.next(',') {
			continue
		}
		if d.next(']') {
			return nil
		}
		return d.fail("a comma or a bracket")
	}
}

func (d *decoder) integer() (int64, error) {
	start := d.i
	for d.i < len(d.b) && (d.b[d.i] >= '0' && d.b[d.i] <= '9' || d.b[d.i] == '-') {
		d.i++
	}
	n, err := strconv.ParseInt(string(d.b[start:d.i]), 10, 64)
	if err != nil {
		return 0, d.fail("a whole number")
	}
	return n, nil
}

// skip steps over any value.
func (d *decoder) skip() error {
	if d.i >= len(d.b) {
		return d.fail("a value")
	}
	switch d.b[d.i] {
	case '{':
		return d.object(func(string) error { return d.skip() })
	case '[':
		return d.array(d.skip)
	case '"':
		var err error
		d.text, err = d.str(d.text[:0])
		return err
	}
	n := bytes.IndexAny(d.b[d.i:], ",]} \n\t\r")
	if n <= 0 {
		return d.fail("a value")
	}
	d.i += n
	return nil
}

// str appends the text of the string at hand to to.
func (d *decoder) str(to []byte) ([]byte, error) {
	if d.i >= len(d.b) || d.b[d.i] != '"' {
		return to, d.fail("a string")
	}
	d.i++
	for {
		start := d.i
		for d.i < len(d.b) && d.b[d.i] != '"' && d.b[d.i] != '\\' && d.b[d.i] >= 0x20 {
			d.i++
		}
		to = append(to, d.b[start:d.i]...)
		if d.i >= len(d.b) || d.b[d.i] < 0x20 {
			return to, d.fail("the end of a string")
		}
		if d.b[d.i] == '"' {
			d.i++
			return to, nil
		}
		if d.i+1 >= len(d.b) {
			return to, d.fail("an escape")
		}
		c := d.b[d.i+1]
		switch c {
		case '"', '\\', '/':
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			r, ok := d.unit(d.i)
			if !ok {
				return to, d.fail("four hexadecimal digits")
			}
			d.i += 6
			if utf16.IsSurrogate(r) {
				low, ok := d.unit(d.i)
				if both := utf16.DecodeRune(r, low); ok && both != utf8.RuneError {
					d.i += 6
					to = utf8.AppendRune(to, both)
					continue
				}
				r = utf8.RuneError
			}
			to = utf8.AppendRune(to, r)
			continue
		default:
			return to, d.fail("an escape")
		}
		to = append(to, c)
		d.i += 2
	}
}

// unit reads \uXXXX at i.
func (d *decoder) unit(i int) (rune, bool) {
	if i+6 > len(d.b) || d.b[i] != '\\' || d.b[i+1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(d.b[i+2:i+6]), 16, 16)
	return rune(n), err == nil
}
