package config

import (
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// This file reads single values: sizes, durations, lists and key=value pairs.

// Size is a number of bytes, at least 0.
type Size int64

// sizeUnits are the units that a size may end in, the longest first so that MiB is not taken for B.
var sizeUnits = []struct {
	suffix string
	bytes  int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}, {"", 1},
}

// String returns the size in the largest binary unit that divides it.
func (s Size) String() string {
	for i := 2; i >= 0; i-- {
		if unit := sizeUnits[i]; s != 0 && int64(s)%unit.bytes == 0 {
			return strconv.FormatInt(int64(s)/unit.bytes, 10) + unit.suffix
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// ParseSize reads a size such as 32MiB, 500MB, 1.5GiB or 65536.
func ParseSize(text string) (Size, bool) {
	for _, unit := range sizeUnits {
		number, found := strings.CutSuffix(text, unit.suffix)
		if !found {
			continue
		}
		number = strings.TrimRight(number, " ")
		if number == "" || strings.Trim(number, "0123456789.") != "" {
			return 0, false
		}
		value, err := strconv.ParseFloat(number, 64)
		bytes := value * float64(unit.bytes)
		if err != nil || bytes >= math.MaxInt64 {
			return 0, false
		}
		return Size(bytes), true
	}
	return 0, false
}

// Decode reads the option's value.
func (s *Size) Decode(ctx *kong.DecodeContext) error {
	text, err := popText(ctx)
	if err != nil {
		return err
	}
	size, ok := ParseSize(text)
	if !ok {
		return Usage(optionOf(ctx), "%q is no size: write it like 32MiB, 500MB or 65536", text)
	}
	*s = size
	return nil
}

// decodeDuration reads a duration in Go's notation.
func decodeDuration(ctx *kong.DecodeContext, target reflect.Value) error {
	text, err := popText(ctx)
	if err != nil {
		return err
	}
	value, err := time.ParseDuration(text)
	if err != nil || value < 0 {
		return Usage(optionOf(ctx), "%q is no duration: write it like 500ms, 2s or 10m", text)
	}
	target.SetInt(int64(value))
	return nil
}

// decodeInt reads a whole number.
func decodeInt(ctx *kong.DecodeContext, target reflect.Value) error {
	text, err := popText(ctx)
	if err != nil {
		return err
	}
	value, err := strconv.Atoi(text)
	if err != nil {
		return Usage(optionOf(ctx), "%q is no whole number: write it like 30", text)
	}
	target.SetInt(int64(value))
	return nil
}

// List is an option that may be given several times.
type List []string

// Decode appends the option's value, or the values of its environment variable.
func (l *List) Decode(ctx *kong.DecodeContext) error {
	values, err := popValues(ctx)
	if err != nil {
		return err
	}
	*l = append(*l, values...)
	return nil
}

// Words is an option whose value is words with commas between them.
type Words []string

// Decode appends the option's words.
func (w *Words) Decode(ctx *kong.DecodeContext) error {
	text, err := popText(ctx)
	if err != nil {
		return err
	}
	for word := range strings.SplitSeq(text, ",") {
		*w = append(*w, strings.TrimSpace(word))
	}
	return nil
}

// Pair is a key and its value.
type Pair struct{ Key, Value string }

// Pairs is an option of the form key=value that may be given several times, in the order given.
type Pairs []Pair

// Decode appends the option's pair, or the pairs of its environment variable.
func (p *Pairs) Decode(ctx *kong.DecodeContext) error {
	values, err := popValues(ctx)
	if err != nil {
		return err
	}
	for _, text := range values {
		key, value, found := strings.Cut(text, "=")
		if !found || key == "" {
			return Usage(optionOf(ctx), "%q is no pair: write it like %s env=prod", text, optionOf(ctx))
		}
		for _, other := range *p {
			if other.Key == key {
				return Usage(optionOf(ctx), "gives %q twice: leave one of them out", key)
			}
		}
		*p = append(*p, Pair{key, value})
	}
	return nil
}

// Map returns the pairs as a map, which is nil where there are none: AWS refuses an empty one.
func (p Pairs) Map() map[string]string {
	if len(p) == 0 {
		return nil
	}
	values := make(map[string]string, len(p))
	for _, pair := range p {
		values[pair.Key] = pair.Value
	}
	return values
}

// optionOf returns the option being read, as it is written on the command line.
func optionOf(ctx *kong.DecodeContext) string { return "--" + ctx.Value.Name }

// decodeString takes a value byte for byte; kong's own way makes U+FFFD of what is not UTF-8, in paths too.
func decodeString(ctx *kong.DecodeContext, target reflect.Value) error {
	text, err := popText(ctx)
	if err != nil {
		return err
	}
	target.SetString(text)
	return nil
}

// popText takes the value of an option.
func popText(ctx *kong.DecodeContext) (string, error) {
	token, err := popToken(ctx)
	return token.String(), err
}

// popValues takes the value of an option that may be repeated, or all values of its variable, which come as []string.
func popValues(ctx *kong.DecodeContext) ([]string, error) {
	token, err := popToken(ctx)
	if values, ok := token.Value.([]string); ok {
		return values, err
	}
	return []string{token.String()}, err
}

// popToken takes the token after an option, which may be the end of the line or the next option.
func popToken(ctx *kong.DecodeContext) (kong.Token, error) {
	if !ctx.Scan.Peek().IsValue() {
		return kong.Token{}, Usage(optionOf(ctx), "has no value: write it like %s=VALUE", optionOf(ctx))
	}
	return ctx.Scan.Pop(), nil
}
