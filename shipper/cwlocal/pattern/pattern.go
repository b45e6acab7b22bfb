// Package pattern evaluates CloudWatch Logs filter patterns, with which FilterLogEvents and metric
// filters match events.
//
//	pattern.go   Parse and Match
//	terms.go     plain terms, and single regular expressions: ERROR -"time out", ?a ?b, %x[0-9]%
//	json.go      JSON events: { $.type = "callTools" && $.usage.totalTokens > 100 }
//	selector.go  selectors in those: $.a[0].b, $.a[*], $.*, $.['a.b']
//	value.go     operands of comparisons: strings, numbers, wildcards, regular expressions
//
// Patterns for space-delimited events, [ip, user, …], are refused, because this program ships no
// such events.
//
// It follows https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
// and refuses what that page does not allow. Where the page is silent, it makes the cautious
// choice, so that a pattern that works here does not rely on luck there:
//
//   - A quoted string is compared with JSON strings only. An unquoted number is compared with JSON
//     numbers by value and with JSON strings by text.
//   - Booleans are tested with IS TRUE and IS FALSE only, and null with IS NULL.
//   - A selector with a wildcard matches if any of its values does, even with !=.
//   - Keywords are in upper case.
//   - If several members have the same name, the last one counts.
package pattern

import (
	"fmt"
	"strings"
	"unicode/utf16"
)

// The service's limits.
const (
	// maxLength bounds a pattern, in UTF-16 code units.
	maxLength = 1024
	// maxRegexes bounds the regular expressions of one pattern.
	maxRegexes = 2
	// maxWildcards bounds the selectors with a wildcard in one pattern. A selector has at most one
	// wildcard.
	maxWildcards = 3
)

// Pattern is a parsed filter pattern. It is safe for concurrent use.
type Pattern struct {
	text string
	matcher
}

// matcher is one of the kinds of pattern.
type matcher interface {
	// match reports whether the pattern matches an event with this message.
	match(message []byte) bool
	// selectors returns the fields that the pattern names, in order.
	selectors() []selector
}

// Parse parses a filter pattern. An empty pattern matches every event.
func Parse(text string) (*Pattern, error) {
	length := 0
	for _, r := range text {
		length += max(1, utf16.RuneLen(r))
	}
	if length > maxLength {
		return nil, fmt.Errorf("the filter pattern has %d characters; the maximum is %d", length, maxLength)
	}
	var m matcher
	var err error
	switch trimmed := strings.TrimSpace(text); {
	case strings.HasPrefix(trimmed, "{"):
		m, err = parseJSON(trimmed)
	case strings.HasPrefix(trimmed, "["):
		err = fmt.Errorf("patterns for space-delimited events are not supported; use terms or { … }")
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

// Values returns the strings and numbers that the pattern's selectors find in message, keyed by the
// selector's text. It leaves out selectors with a wildcard.
func (p *Pattern) Values(message []byte) map[string]string {
	values := map[string]string{}
	for _, s := range p.selectors() {
		if v, ok := s.value(message); ok && !s.wildcard {
			values[s.text] = v
		}
	}
	return values
}

// String returns the text that the pattern was parsed from.
func (p *Pattern) String() string { return p.text }
