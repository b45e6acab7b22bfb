package cwlocal

// Filter patterns of plain terms: `ERROR "exact phrase" -not`, or `?this ?that` for any of them. Those of JSON
// (`{ $.type = "x" }`), of fields (`[a, b]`) and regular expressions (`%x%`) are refused.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html

import (
	"bytes"
	"strings"
	"unicode"
)

// maxPattern bounds a pattern, in UTF-16 code units.
const maxPattern = 1024

// pattern is what a message must hold (all), may hold (one of any, when all and none are empty) and must not (none).
type pattern struct{ all, any, none [][]byte }

// parsePattern reads a filter pattern. An empty one matches everything.
func parsePattern(text string) (*pattern, error) {
	p := &pattern{}
	rest := strings.TrimSpace(text)
	switch {
	case units(text) > maxPattern:
		return nil, constraint(text, "filterPattern", "have length less than or equal to 1024")
	case strings.HasPrefix(rest, "{"), strings.HasPrefix(rest, "["), strings.HasPrefix(rest, "%"):
		return nil, invalid("this endpoint knows filter patterns of plain terms only, not %q; filter what it returns with jq or grep", text)
	}
	for rest != "" {
		into := &p.all
		switch rest[0] {
		case '?':
			into, rest = &p.any, rest[1:]
		case '-':
			into, rest = &p.none, rest[1:]
		}
		var term string
		var err error
		if term, rest, err = cutTerm(rest); err != nil {
			return nil, err
		}
		*into = append(*into, []byte(term))
		rest = strings.TrimLeft(rest, " \t")
	}
	return p, nil
}

// cutTerm takes a word or a quoted phrase off the front of text.
func cutTerm(text string) (term, rest string, err error) {
	if !strings.HasPrefix(text, `"`) {
		term, rest = text, ""
		if i := strings.IndexAny(text, " \t"); i >= 0 {
			term, rest = text[:i], text[i:]
		}
		if i := strings.IndexFunc(term, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }); i >= 0 || term == "" {
			return "", "", invalid("Invalid character(s) in term '%s'; put a term of other characters in double quotes", term)
		}
		return term, rest, nil
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text):
			i++
			b.WriteByte(text[i])
		case c == '"':
			if b.Len() == 0 {
				return "", "", invalid("an empty phrase in the filter pattern; name what to look for")
			}
			return b.String(), text[i+1:], nil
		default:
			b.WriteByte(c)
		}
	}
	return "", "", invalid("a phrase in the filter pattern has no closing double quote")
}

// matches says whether a message is wanted. The service ignores the terms with '?' when there are others.
func (p *pattern) matches(message []byte) bool {
	for _, t := range p.none {
		if bytes.Contains(message, t) {
			return false
		}
	}
	for _, t := range p.all {
		if !bytes.Contains(message, t) {
			return false
		}
	}
	if len(p.any) == 0 || len(p.all)+len(p.none) > 0 {
		return true
	}
	for _, t := range p.any {
		if bytes.Contains(message, t) {
			return true
		}
	}
	return false
}
