package batch

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"
	"time"
)

func TestEventTime(t *testing.T) {
	const none = -1
	for _, c := range []struct {
		raw  string
		want int64
	}{
		{``, none}, {`0`, 0}, {`1`, 1000}, {`-0`, 0}, {`-1`, none}, {`-1795348705863`, none},
		// The size decides the unit: the smallest and largest number of each.
		{`99999999999`, 99999999999000}, {`100000000000`, 100000000000}, {`1795348705`, 1795348705000},
		{`1795348705863`, 1795348705863}, {`99999999999999`, 99999999999999}, {`100000000000000`, 100000000000},
		{`1795348705863999`, 1795348705863}, {`99999999999999999`, 99999999999999}, {`100000000000000000`, 100000000000},
		{`1795348705863999999`, 1795348705863}, {`9223372036854775807`, 9223372036854}, {`9999999999999999999`, none}, {`9223372036854775808`, 9223372036854},
		{`18446744073709551616`, none}, {`99999999999999999999999999`, none}, {`1` + strings.Repeat("0", 500), none},
		// Fractions and exponents.
		{`1795348705.863`, 1795348705863}, {`1795348705.8639`, 1795348705864}, {`1795348705863.9`, 1795348705863}, {`1.795348705863e12`, 1795348705863}, {`1.795348705863E+15`, 1795348705863},
		{`0.0005`, 1}, {`0.0`, 0}, {`1e-400`, 0}, {`1e400`, none}, {`1e19`, none}, {`1e18`, 1000000000000}, {`-1e5`, none}, {`-0.1`, none},
		// Strings.
		{`"1795348705863"`, 1795348705863}, {`"1795348705.863"`, 1795348705863}, {`"2026-11-22T12:00:05Z"`, 1795348805000}, {`"2026-11-22T12:00:05.123456789Z"`, 1795348805123},
		{`"2026-11-22T12:00:05+09:00"`, 1795316405000}, {`"2026-11-22T12:00:05.5-23:59"`, 1795435145500}, {`"2026\u002d11-22T12:00:05Z"`, 1795348805000}, {`"1970-01-01T00:00:00Z"`, 0},
		{`"1969-12-31T23:59:59.999Z"`, none}, {`"9999-12-31T23:59:59.999Z"`, 253402300799999}, {`"2026-11-22 12:00:05"`, none}, {`"2026-11-22"`, none}, {`"2026-02-30T00:00:00Z"`, none},
		{`""`, none}, {`" 1"`, none}, {`"now"`, none}, {`"NaN"`, none}, {`"nan"`, none}, {`"Inf"`, none}, {`"-Infinity"`, none}, {`"1_000"`, none}, {`"0x10"`, none}, {`"0x1p40"`, none}, {`"١٢٣"`, none}, {`"-5"`, none},
		{`"` + strings.Repeat("1", 65) + `"`, none}, {`"` + strings.Repeat("0", 60) + `5"`, 5000}, {`"\ud800"`, none},
		{`"` + strings.Repeat(`\u0030`, 63) + `\u0037"`, 7000}, {`"` + strings.Repeat(`\u0030`, 64) + `7"`, none},
		// Not a time.
		{`null`, none}, {`true`, none}, {`{}`, none}, {`[1795348705863]`, none}, {`{"$date":1795348705863}`, none},
	} {
		got, ok := eventTime([]byte(c.raw))
		if ok != (c.want != none) || ok && got != c.want {
			t.Errorf("eventTime(%.100s) = %d, %v, want %d", c.raw, got, ok, c.want)
		}
	}
}

func TestRefused(t *testing.T) {
	const now = int64(1795348800000)
	const day = int64(24 * 3600 * 1000)
	for _, c := range []struct {
		ms     int64
		margin time.Duration
		want   bool
	}{
		{now, 0, false}, {now - 14*day, 0, false}, {now - 14*day - 1, 0, true}, {now + day/12, 0, false}, {now + day/12 + 1, 0, true},
		{now - 14*day + 60000, time.Minute, false}, {now - 14*day + 59999, time.Minute, true}, {now + day/12 - 60000, time.Minute, false}, {now + day/12 - 59999, time.Minute, true},
		{0, 0, true}, {1 << 62, 0, true},
	} {
		if got := Refused(c.ms, now, c.margin); got != c.want {
			t.Errorf("Refused(now%+d, %s) = %v", c.ms-now, c.margin, got)
		}
	}
}

// exactTime reads a JSON number as documented for eventTime, with all of its digits. sure is false
// very close to a number where the unit changes.
func exactTime(number string) (ms *big.Rat, ok, sure bool) {
	n, ok := new(big.Rat).SetString(number)
	if !ok || n.Sign() < 0 {
		return nil, false, true
	}
	power := func(e int64) *big.Rat {
		return new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(e), nil))
	}
	sure = true
	for i, limit := range []*big.Rat{power(11), power(14), power(17), power(19)} {
		off := new(big.Rat).Sub(n, limit)
		off.Mul(off.Abs(off), power(12))
		sure = sure && off.Cmp(limit) > 0
		if n.Cmp(limit) < 0 {
			unit := []*big.Rat{ // a millisecond in each unit
				new(big.Rat).SetFrac64(1, 1000), power(0), power(3), power(6)}[i]
			return new(big.Rat).Quo(n, unit), true, sure
		}
	}
	return nil, false, sure
}

func FuzzTime(f *testing.F) {
	for _, s := range []string{`1795348705863`, `1795348705.863`, `1.795e12`, `1795348705863999999`, `-5`, `1e30`, `"2026-11-22T12:00:05.5+09:00"`, `"1795348705"`, `null`, `"NaN"`, `0.0005`, `99999999999`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !json.Valid(raw) || len(raw) > 100 {
			return
		}
		raw = []byte(strings.Trim(string(raw), " \t\r\n"))
		got, ok := eventTime(raw)
		if ok && got < 0 {
			t.Fatalf("eventTime(%s) = %d, before 1970", raw, got)
		}
		var text string
		number := string(raw)
		if json.Unmarshal(raw, &text) == nil && raw[0] == '"' {
			if parsed, err := time.Parse(time.RFC3339, text); err == nil && len(text) <= 64 {
				if want := parsed.UnixMilli(); ok != (want >= 0) || ok && got != want {
					t.Fatalf("eventTime(%s) = %d, %v, want %d", raw, got, ok, want)
				}
				return
			}
			number = text
			if !json.Valid([]byte(number)) || strings.Trim(number, "-+.0123456789eE") != "" {
				return // such as "+5": the result does not matter, if there is no crash and no time before 1970
			}
		}
		if strings.Trim(number, "-+.0123456789eE") != "" {
			if ok {
				t.Fatalf("eventTime(%s) = %d", raw, got)
			}
			return
		}
		if _, exponent, has := strings.Cut(strings.ToLower(number), "e"); has && len(exponent) > 4 {
			return // math/big would write out all of its digits
		}
		want, is, sure := exactTime(number)
		if !sure || len(number) > 64 {
			return
		}
		if is != ok {
			t.Fatalf("eventTime(%s) = %d, %v, want %v", raw, got, ok, want)
		}
		if ok {
			// A float64 holds today's time in nanoseconds with a precision of 256 ns, and seconds
			// are rounded to a millisecond.
			off := new(big.Rat).Sub(want, new(big.Rat).SetInt64(got))
			if off.Abs(off).Cmp(new(big.Rat).SetInt64(1)) > 0 {
				t.Fatalf("eventTime(%s) = %d, want %s", raw, got, want.FloatString(3))
			}
		}
	})
}
