package pattern

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// jsonPattern is a pattern for JSON events. It matches no other events.
type jsonPattern struct {
	root  condition
	named []selector
}

func (p *jsonPattern) selectors() []selector { return p.named }

func (p *jsonPattern) match(message []byte) bool {
	e, ok := parseEvent(message)
	return ok && p.root.holds(e)
}

// condition is an expression over an event.
type condition interface{ holds(event) bool }

type (
	// both holds if all of its conditions hold.
	both []condition
	// either holds if any of its conditions holds.
	either []condition
	// comparison holds if the operator holds between any value of the selector and the operand.
	comparison struct {
		selector
		operator string
		operand
	}
	// is holds if the selector's value is the literal: null, true or false.
	is struct {
		selector
		literal string
	}
	// absent holds if the selector finds nothing.
	absent struct{ selector }
)

func (c both) holds(e event) bool {
	for _, part := range c {
		if !part.holds(e) {
			return false
		}
	}
	return true
}

func (c either) holds(e event) bool {
	for _, part := range c {
		if part.holds(e) {
			return true
		}
	}
	return false
}

func (c comparison) holds(e event) bool {
	return !c.find(e, func(raw json.RawMessage) bool { return !c.compare(c.operator, raw) })
}

func (c is) holds(e event) bool {
	return !c.find(e, func(raw json.RawMessage) bool { return string(raw) != c.literal })
}

func (c absent) holds(e event) bool {
	return c.find(e, func(json.RawMessage) bool { return false })
}

// parser parses a JSON pattern from front to back.
type parser struct {
	rest      string
	named     []selector
	regexes   int
	wildcards int
}

func parseJSON(text string) (*jsonPattern, error) {
	inside, ok := strings.CutSuffix(text[1:], "}")
	if !ok {
		return nil, errors.New("if a filter pattern starts with '{' it must end with '}'")
	}
	p := parser{rest: inside}
	root, err := p.either()
	p.space()
	switch {
	case err != nil:
		return nil, err
	case p.rest != "":
		return nil, fmt.Errorf("expected &&, || or the end at %q", p.rest)
	case p.regexes > maxRegexes:
		return nil, fmt.Errorf("%d regular expressions; the maximum is %d", p.regexes, maxRegexes)
	case p.wildcards > maxWildcards:
		return nil, fmt.Errorf("%d selectors with a wildcard; the maximum is %d", p.wildcards, maxWildcards)
	}
	return &jsonPattern{root, p.named}, nil
}

func (p *parser) space() { p.rest = strings.TrimLeft(p.rest, " \t\r\n") }

// take removes a token, and white space before it, from the front. It reports whether the token was
// there.
func (p *parser) take(token string) bool {
	p.space()
	rest, ok := strings.CutPrefix(p.rest, token)
	if ok {
		p.rest = rest
	}
	return ok
}

// either parses conditions joined by ||, which binds less tightly than &&.
func (p *parser) either() (condition, error) {
	var all either
	for {
		c, err := p.both()
		if err != nil {
			return nil, err
		}
		if all = append(all, c); !p.take("||") {
			return all, nil
		}
	}
}

// both parses conditions joined by &&.
func (p *parser) both() (condition, error) {
	var all both
	for {
		c, err := p.single()
		if err != nil {
			return nil, err
		}
		if all = append(all, c); !p.take("&&") {
			return all, nil
		}
	}
}

// single parses an expression in parentheses or one test of a field.
func (p *parser) single() (condition, error) {
	if p.take("(") {
		c, err := p.either()
		if err == nil && !p.take(")") {
			err = fmt.Errorf("expected ')' at %q", p.rest)
		}
		return c, err
	}
	p.space()
	s, rest, err := cutSelector(p.rest)
	if err != nil {
		return nil, err
	}
	p.rest = rest
	p.named = append(p.named, s)
	if s.wildcard {
		p.wildcards++
	}
	for _, operator := range []string{"!=", "<=", ">=", "=", "<", ">"} {
		if p.take(operator) {
			return p.comparison(s, operator)
		}
	}
	return p.keywords(s)
}

// comparison parses what follows a selector and an operator.
func (p *parser) comparison(s selector, operator string) (condition, error) {
	p.space()
	o, rest, err := cutOperand(p.rest)
	if err != nil {
		return nil, err
	}
	p.rest = rest
	if o.regex != nil {
		p.regexes++
	}
	if operator != "=" && operator != "!=" && !o.isNumber {
		return nil, fmt.Errorf("%s %s compares numbers; expected a number without wildcards after it", s.text, operator)
	}
	return comparison{s, operator, o}, nil
}

// keywords parses a test written in words: IS NULL, IS TRUE, IS FALSE, NOT EXISTS.
func (p *parser) keywords(s selector) (condition, error) {
	switch first := p.word(); first {
	case "IS":
		switch second := p.word(); second {
		case "NULL", "TRUE", "FALSE":
			return is{s, strings.ToLower(second)}, nil
		case "NOT":
			return nil, errors.New("IS NOT is not supported")
		}
		return nil, fmt.Errorf("expected NULL, TRUE or FALSE after %s IS", s.text)
	case "NOT":
		if p.word() == "EXISTS" {
			return absent{s}, nil
		}
		return nil, fmt.Errorf("expected EXISTS after %s NOT", s.text)
	case "EXISTS":
		return nil, fmt.Errorf("EXISTS is not supported; %s = * matches if there is a value", s.text)
	}
	return nil, fmt.Errorf("expected an operator (= != < > <= >=), IS or NOT EXISTS after %s", s.text)
}

// word removes a word from the front, or returns "" if there is none.
func (p *parser) word() string {
	p.space()
	end := 0
	for end < len(p.rest) && isAlphanumeric(p.rest[end]) {
		end++
	}
	word := p.rest[:end]
	p.rest = p.rest[end:]
	return word
}
