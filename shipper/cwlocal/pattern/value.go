package pattern

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// operand is the value that a field is compared with.
type operand struct {
	quoted   bool           // a quoted string, which is compared with strings only
	isNumber bool           // an unquoted number without wildcards
	pieces   []string       // the text between its wildcards
	regex    *regexp.Regexp // nil: not a regular expression
}

// cutOperand removes a quoted string, a regular expression, a number or a bare word from the front
// of text.
func cutOperand(text string) (o operand, rest string, err error) {
	switch {
	case strings.HasPrefix(text, "%"):
		o.regex, rest, err = cutRegex(text)
		return o, rest, err
	case strings.HasPrefix(text, `"`):
		var content string
		content, rest, err = cutQuoted(text)
		return operand{quoted: true, pieces: strings.Split(content, "*")}, rest, err
	}
	end := strings.IndexAny(text, " \t\r\n()&|")
	if end < 0 {
		end = len(text)
	}
	word := text[:end]
	switch {
	case number.MatchString(word):
		return operand{isNumber: true, pieces: []string{word}}, text[end:], nil
	case bare.MatchString(word):
		return operand{pieces: strings.Split(word, "*")}, text[end:], nil
	case word == "":
		return o, text, errors.New("expected a value after the operator")
	}
	return o, text, fmt.Errorf("invalid character(s) in term '%s'; put strings with characters other than letters, digits and '_' in double quotes", word)
}

var (
	number = regexp.MustCompile(`^[-+]?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)
	// bare matches a string that needs no quotes, or a number with wildcards: addresses such as
	// 123.123.* are documented.
	bare = regexp.MustCompile(`^([A-Za-z0-9_*]+|[-+]?[0-9.*]+)$`)
)

// compare reports whether the operator holds between a JSON value, which must be a string or a
// number, and the operand.
func (o operand) compare(operator string, raw json.RawMessage) bool {
	var text string
	switch raw[0] {
	case '"':
		if json.Unmarshal(raw, &text) != nil {
			return false
		}
	case 't', 'f', 'n', '{', '[':
		return false
	default:
		if o.quoted {
			return false
		}
		text = string(raw)
		if o.isNumber {
			return ordered(operator, compareNumbers(text, o.pieces[0]))
		}
	}
	switch operator {
	case "=":
		return o.is(text)
	case "!=":
		return !o.is(text)
	}
	return false
}

// is reports whether the operand stands for text.
func (o operand) is(text string) bool {
	if o.regex != nil {
		return o.regex.MatchString(text)
	}
	last := len(o.pieces) - 1
	rest, ok := strings.CutPrefix(text, o.pieces[0])
	if !ok || last == 0 {
		return ok && rest == ""
	}
	for _, piece := range o.pieces[1:last] {
		if _, rest, ok = strings.Cut(rest, piece); !ok {
			return false
		}
	}
	return strings.HasSuffix(rest, o.pieces[last])
}

// compareNumbers compares two numbers by value. Whole numbers are compared exactly.
func compareNumbers(a, b string) int {
	m, errA := strconv.ParseInt(a, 10, 64)
	n, errB := strconv.ParseInt(b, 10, 64)
	if errA == nil && errB == nil {
		return cmp.Compare(m, n)
	}
	x, _ := strconv.ParseFloat(a, 64) // both look like numbers; out of range means infinite
	y, _ := strconv.ParseFloat(b, 64)
	return cmp.Compare(x, y)
}

// ordered reports whether the result of a comparison satisfies the operator.
func ordered(operator string, result int) bool {
	switch operator {
	case "=":
		return result == 0
	case "!=":
		return result != 0
	case "<":
		return result < 0
	case ">":
		return result > 0
	case "<=":
		return result <= 0
	}
	return result >= 0
}

var (
	// regexText matches what a regular expression may consist of: letters, digits, white space, and
	// the documented symbols and operators.
	regexText = regexp.MustCompile(`^[A-Za-z0-9 \t:_#=@/;,\-^$?\[\]{}|\\*+.]*$`)
	// regexEscape matches a backslash and what may follow it. Other escapes, such as
	// back-references, are refused.
	regexEscape = regexp.MustCompile(`\\(x[0-7][0-9A-Fa-f]|[dDsSwW]|[\x00-\x7f])?`)
	// repeat matches an escape, to be skipped, or a repetition count, which may lack its lower
	// bound or contain a space.
	repeat = regexp.MustCompile(`\\.|\{([0-9]*), *([0-9]*)\}`)
)

// cutRegex removes a regular expression between percent signs from the front of text.
func cutRegex(text string) (re *regexp.Regexp, rest string, err error) {
	inside, rest, ok := strings.Cut(text[1:], "%")
	switch {
	case !ok:
		return nil, "", errors.New("a regular expression has no closing '%'")
	case inside == "":
		return nil, "", errors.New("an empty regular expression")
	case !regexText.MatchString(inside):
		return nil, "", fmt.Errorf("invalid character(s) in the regular expression %%%s%%; write them as \\xhh", inside)
	}
	for _, escape := range regexEscape.FindAllString(inside, -1) {
		if len(escape) == 2 && isAlphanumeric(escape[1]) && !strings.Contains("dDsSwW", escape[1:]) || len(escape) == 1 {
			return nil, "", fmt.Errorf("%s in the regular expression %%%s%% is not supported", escape, inside)
		}
	}
	inside = repeat.ReplaceAllStringFunc(inside, func(found string) string {
		if found[0] == '\\' {
			return found
		}
		bounds := repeat.FindStringSubmatch(found)
		return "{" + cmp.Or(bounds[1], "0") + "," + bounds[2] + "}"
	})
	if re, err = regexp.Compile(inside); err != nil {
		return nil, "", fmt.Errorf("the regular expression %%%s%%: %w", inside, err)
	}
	return re, rest, nil
}
