package pattern

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// selector names a field of a JSON event, such as $.usage.totalTokens.
type selector struct {
	text     string
	steps    []step
	wildcard bool // may name several fields
}

// step leads from a value to one inside it.
type step struct {
	array bool   // leads to elements rather than members
	all   bool   // leads to all of them
	name  string // the member's name
	index int    // the element's index
}

// cutSelector removes a selector from the front of text.
func cutSelector(text string) (s selector, rest string, err error) {
	rest, ok := strings.CutPrefix(text, "$")
	if !ok || !strings.HasPrefix(rest, ".") {
		return s, text, fmt.Errorf("expected a selector such as $.type at %q", text)
	}
	for strings.HasPrefix(rest, ".") || strings.HasPrefix(rest, "[") {
		var next step
		if next, rest, err = cutStep(rest); err != nil {
			return s, text, err
		}
		if next.all && s.wildcard {
			return s, text, errors.New("a selector can have one wildcard only")
		}
		s.wildcard = s.wildcard || next.all
		s.steps = append(s.steps, next)
	}
	s.text = text[:len(text)-len(rest)]
	return s, rest, nil
}

// cutStep removes one of .name, .*, .['name'], [0] and [*] from the front of text.
func cutStep(text string) (next step, rest string, err error) {
	if quoted, ok := strings.CutPrefix(text, ".['"); ok {
		name, rest, ok := strings.Cut(quoted, "']")
		if !ok || name == "" {
			return next, text, fmt.Errorf("expected a name in quotes and brackets, as in $.['a.b'], at %q", text)
		}
		return step{name: name}, rest, nil
	}
	if rest, ok := strings.CutPrefix(text, ".*"); ok {
		return step{all: true}, rest, nil
	}
	if name, ok := strings.CutPrefix(text, "."); ok {
		end := 0
		for end < len(name) && (isAlphanumeric(name[end]) || name[end] == '-' || name[end] == '_') {
			end++
		}
		if end == 0 {
			return next, text, fmt.Errorf("expected a name of letters, digits, '-' and '_' at %q; write other names as $.['…']", text)
		}
		return step{name: name[:end]}, name[end:], nil
	}
	inside, rest, ok := strings.Cut(text[1:], "]")
	if ok && inside == "*" {
		return step{array: true, all: true}, rest, nil
	}
	index, err := strconv.ParseUint(inside, 10, 31)
	if !ok || err != nil {
		return next, text, fmt.Errorf("expected an element such as [0] or [*] at %q", text)
	}
	return step{array: true, index: int(index)}, rest, nil
}

// value returns the string or number that the selector finds in a JSON event, or the first of
// several. It reports false if there is none.
func (s selector) value(message []byte) (value string, ok bool) {
	event, isObject := parseEvent(message)
	if !isObject {
		return "", false
	}
	s.find(event, func(raw json.RawMessage) bool {
		switch raw[0] {
		case '"':
			ok = json.Unmarshal(raw, &value) == nil
		case 't', 'f', 'n', '{', '[':
		default:
			value, ok = string(raw), true
		}
		return !ok
	})
	return value, ok
}

// event is a JSON object.
type event = map[string]json.RawMessage

// parseEvent parses a message. JSON patterns match objects only.
func parseEvent(message []byte) (event, bool) {
	var e event
	err := json.Unmarshal(message, &e)
	return e, err == nil && e != nil
}

// find calls visit with each value that the selector names, until visit returns false. find reports
// whether visit never did.
func (s selector) find(e event, visit func(json.RawMessage) bool) bool {
	return findMember(e, s.steps[0], s.steps[1:], visit)
}

func findMember(e event, next step, behind []step, visit func(json.RawMessage) bool) bool {
	if !next.all {
		raw, ok := e[next.name]
		return !ok || find(raw, behind, visit)
	}
	for _, raw := range e {
		if !find(raw, behind, visit) {
			return false
		}
	}
	return true
}

func find(raw json.RawMessage, steps []step, visit func(json.RawMessage) bool) bool {
	switch {
	case len(steps) == 0:
		return visit(raw)
	case !steps[0].array:
		e, ok := parseEvent(raw)
		return !ok || findMember(e, steps[0], steps[1:], visit)
	}
	var elements []json.RawMessage
	if json.Unmarshal(raw, &elements) != nil {
		return true
	}
	for i, element := range elements {
		if (steps[0].all || i == steps[0].index) && !find(element, steps[1:], visit) {
			return false
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
