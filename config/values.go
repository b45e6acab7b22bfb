package config

// This file parses single values: sizes, durations, lists and key=value pairs.

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes. It is not negative.
type Size int64

// sizeUnits are the units that a size may end in, the longest first, so that MiB is not read as B.
var sizeUnits = []struct {
	suffix string
	bytes  int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}, {"", 1},
}

// String returns the size in the largest binary unit that divides it.
func (s Size) String() string {
	for i := 3; i >= 0; i-- {
		if unit := sizeUnits[i]; s != 0 && int64(s)%unit.bytes == 0 {
			return strconv.FormatInt(int64(s)/unit.bytes, 10) + unit.suffix
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// parseSize parses a size such as 32MiB, 500MB, 1.5GiB or 65536.
func parseSize(text string) (Size, bool) {
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

// abbreviated matches a size as other programs write it, such as 32m, 32M and 32Mi. k means 1,000
// to some programs and 1,024 to others, so parseSize refuses these and the error explains.
var abbreviated = regexp.MustCompile(`^([0-9.]+) ?([kKmMgGtT])[iI]?[bB]?$`)

func (s *Size) set(option, text string) error {
	size, ok := parseSize(text)
	if !ok {
		if unit := abbreviated.FindStringSubmatch(text); unit != nil {
			return Usage(option, "%q is not a valid size: did you mean %s?", text, unit[1]+strings.ToUpper(unit[2])+"iB")
		}
		return Usage(option, "%q is not a valid size: write it like 32MiB, 500MB or 65536", text)
	}
	*s = size
	return nil
}

// parseDuration parses a duration in Go's notation.
func parseDuration(option, text string, into *time.Duration) error {
	value, err := time.ParseDuration(text)
	if err != nil || value < 0 {
		return Usage(option, "%q is not a valid duration: write it like 500ms, 2s or 10m", text)
	}
	*into = value
	return nil
}

// parseInt parses a whole number.
func parseInt(option, text string, into *int) error {
	value, err := strconv.Atoi(text)
	if err != nil {
		return Usage(option, "%q is not a whole number: write it like 30", text)
	}
	*into = value
	return nil
}

// parseBool parses true or false.
func parseBool(option, text string) (bool, error) {
	switch strings.ToLower(text) {
	case "true", "1", "yes":
		return true, nil
	case "false", "0", "no":
		return false, nil
	}
	return false, Usage(option, "%q is neither true nor false: use %s or %s=false", text, option, option)
}

// Tee says which of a command's output is shown. The bare option means all.
type Tee string

func (t *Tee) set(option, text string) error {
	switch kind := Tee(text); {
	case kind == TeeNone, kind == TeeStderr, kind == TeeAll:
		*t = kind
		return nil
	}
	all, err := parseBool(option, text) // PERSTACK_SHIPPER_TEE may be meant for ship
	if err != nil {
		return oneOf(option, text, string(TeeNone), string(TeeStderr), string(TeeAll))
	}
	if *t = TeeNone; all {
		*t = TeeAll
	}
	return nil
}

// List is an option that may be repeated.
type List []string

// Words is an option whose value is a list of words separated by commas.
type Words []string

func (w *Words) set(text string) {
	for word := range strings.SplitSeq(text, ",") {
		*w = append(*w, strings.TrimSpace(word))
	}
}

// Pair is a key and its value.
type Pair struct{ Key, Value string }

// Pairs is an option of the form key=value that may be repeated. The order is kept.
type Pairs []Pair

func (p *Pairs) set(option, text string) error {
	key, value, found := strings.Cut(text, "=")
	if !found || key == "" {
		return Usage(option, "%q is not a KEY=VALUE pair: write it like %s env=prod", text, option)
	}
	for _, other := range *p {
		if other.Key == key {
			return Usage(option, "gives %q twice: leave one of them out", key)
		}
	}
	*p = append(*p, Pair{key, value})
	return nil
}

// Map returns the pairs as a map. It returns nil if there are none, because AWS refuses an empty
// map.
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
