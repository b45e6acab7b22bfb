// Package pattern evaluates CloudWatch Logs filter patterns: what FilterLogEvents and metric
// filters match events with.
//
//	pattern.go   Parse and Match
//	terms.go     patterns of plain terms, and of one regular expression: ERROR -"time out", ?a ?b, %x[0-9]%
//	json.go      patterns for JSON events: { $.type = "callTools" && $.usage.totalTokens > 100 }
//	selector.go  the selectors of those: $.a[0].b, $.a[*], $.*, $.['a.b']
//	value.go     the values that fields are compared with: strings, numbers, wildcards, regular expressions
//
// Patterns for space-delimited events, [ip, user, …], are refused: no event of this program is one.
//
// It follows https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
// and refuses what that page does not allow. Where the page says nothing, the choice is the
// cautious one, so that a pattern which works here does not rely on luck there:
//
//   - A string in quotes is compared with JSON strings only. A number without quotes is compared with JSON numbers by
//     value and with JSON strings by its text. Booleans are compared by IS TRUE and IS FALSE only, null by IS NULL.
//   - A selector with a wildcard matches when any one of its values does, with != as well.
//   - Keywords are in upper case.
//   - Of several members with one name, the last counts.
package pattern

import (
	"fmt"
	"strings"
	"unicode/utf16"
)

// The service's limits.
const (
	// MaxLength bounds a pattern, in UTF-16 code units.
	MaxLength = 1024
	// maxRegexes bounds the regular expressions of one pattern.
	maxRegexes = 2
	// maxWildcards bounds the selectors with a wildcard in one pattern; a selector has at most one.
	maxWildcards = 3
)

// Pattern is a parsed filter pattern. It is safe for concurrent use.
type Pattern struct {
	text string
	matcher
}

// matcher is one of the kinds of pattern.
type matcher interface {
	// match reports whether the event with this message is wanted.
	match(message []byte) bool
	// selectors are the fields that the pattern names, in order.
	selectors() []Selector
}

// Parse parses a filter pattern. An empty one matches every event.
func Parse(text string) (*Pattern, error) {
	length := 0
	for _, r := range text {
		length += max(1, utf16.RuneLen(r))
	}
	if length > MaxLength {
		return nil, fmt.Errorf("the filter pattern has %d characters; %d is the most", length, MaxLength)
	}
	var m matcher
	var err error
	switch trimmed := strings.TrimSpace(text); {
	case strings.HasPrefix(trimmed, "{"):
		m, err = parseJSON(trimmed)
	case strings.HasPrefix(trimmed, "["):
		err = fmt.Errorf("patterns for space-delimited events are not known here: use terms or { … }")
	case strings.HasPrefix(trimmed, "%"):
		m, err = parseRegex(trimmed)
	default:
		m, err = parseTerms(trimmed)
	}
	if err != nil {
		return nil, fmt.Errorf("invalid filter pattern: %w", err)
	}
	return &Pattern{text, m}, nil
}

// Match reports whether the pattern matches an event with this message.
func (p *Pattern) Match(message []byte) bool { return p.match(message) }

// Values returns the strings and numbers that the pattern's selectors find in message, by the
// selector's text. Selectors with a wildcard are left out.
func (p *Pattern) Values(message []byte) map[string]string {
	values := map[string]string{}
	for _, s := range p.selectors() {
		if v, ok := s.Value(message); ok && !s.wildcard {
			values[s.text] = v
		}
	}
	return values
}

// String returns the text that the pattern was parsed from.
func (p *Pattern) String() string { return p.text }
