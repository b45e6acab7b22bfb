package pattern

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// terms lists what a message must contain (all), what it must contain one of if nothing else is
// given (any), and what it must not contain (none).
type terms struct{ all, any, none [][]byte }

func (*terms) selectors() []selector { return nil }

// parseTerms parses words and quoted phrases. Each may have a '?' or '-' before it.
func parseTerms(rest string) (*terms, error) {
	t := &terms{}
	for rest != "" {
		into := &t.all
		switch rest[0] {
		case '?':
			into, rest = &t.any, rest[1:]
		case '-':
			into, rest = &t.none, rest[1:]
		}
		var term string
		var err error
		if term, rest, err = cutTerm(rest); err != nil {
			return nil, err
		}
		*into = append(*into, []byte(term))
		rest = strings.TrimLeft(rest, " \t\r\n")
	}
	return t, nil
}

// cutTerm removes a word or a quoted phrase from the front of text.
func cutTerm(text string) (term, rest string, err error) {
	if strings.HasPrefix(text, `"`) {
		term, rest, err = cutQuoted(text)
		switch {
		case err == nil && term == "":
			err = errors.New("an empty phrase; say what to look for")
		case strings.TrimSpace(term) == "":
			term = "" // documented to match everything; every message contains ""
		}
		return term, rest, err
	}
	term = text
	if i := strings.IndexAny(text, " \t\r\n"); i >= 0 {
		term, rest = text[:i], text[i:]
	}
	if term == "" || strings.ContainsFunc(term, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		return "", "", fmt.Errorf("invalid character(s) in term '%s'; put terms with other characters in double quotes", term)
	}
	return term, rest, nil
}

// cutQuoted removes a string in double quotes from the front of text. The character after a
// backslash stands for itself.
func cutQuoted(text string) (content, rest string, err error) {
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text):
			i++
			b.WriteByte(text[i])
		case c == '"':
			return b.String(), text[i+1:], nil
		default:
			b.WriteByte(c)
		}
	}
	return "", "", errors.New("a phrase has no closing double quote")
}

func (t *terms) match(message []byte) bool {
	in := func(term []byte) bool { return bytes.Contains(message, term) }
	for _, term := range t.none {
		if in(term) {
			return false
		}
	}
	for _, term := range t.all {
		if !in(term) {
			return false
		}
	}
	// The service ignores terms with '?' if there are others.
	if len(t.any) == 0 || len(t.all)+len(t.none) > 0 {
		return true
	}
	for _, term := range t.any {
		if in(term) {
			return true
		}
	}
	return false
}

// regex is a pattern that consists of one regular expression.
type regex struct{ *regexp.Regexp }

func (regex) selectors() []selector { return nil }

func parseRegex(text string) (regex, error) {
	re, rest, err := cutRegex(text)
	if err == nil && rest != "" {
		err = fmt.Errorf("unexpected %q after the regular expression, which must stand alone", rest)
	}
	return regex{re}, err
}

func (r regex) match(message []byte) bool { return r.Match(message) }
