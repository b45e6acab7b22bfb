package batch

import (
	"strings"
	"unicode/utf8"
)

// StreamName makes a legal log stream name of the result of a template. ':' and '*', which
// CloudWatch refuses, become '-'. Bytes that are not UTF-8 become U+FFFD. A name over
// MaxStreamNameBytes is cut, but never inside a character. An empty name becomes "-". StreamName is
// idempotent. Two names can become the same one, so readers filter on the ids in the events.
func StreamName(name string) string {
	if name == "" {
		return "-"
	}
	if !utf8.ValidString(name) {
		name = strings.ToValidUTF8(name, "\uFFFD")
	}
	if strings.ContainsAny(name, ":*") {
		name = strings.Map(func(r rune) rune {
			if r == ':' || r == '*' {
				return '-'
			}
			return r
		}, name)
	}
	if len(name) <= MaxStreamNameBytes {
		return name
	}
	cut := MaxStreamNameBytes
	for !utf8.RuneStart(name[cut]) {
		cut--
	}
	return name[:cut]
}
