package batch

import (
	"strconv"
	"time"
)

// eventTime reads a raw JSON value as a point in time in milliseconds since 1970. A number may be
// in seconds, with or without a fraction, or in milli-, micro- or nanoseconds. Its size tells
// which, correctly for the years 1973 to 5138. A string may be RFC 3339 or such a number. ok is
// false for anything else, and for times before 1970, which CloudWatch cannot store.
func eventTime(raw []byte) (ms int64, ok bool) {
	if len(raw) == 0 || len(raw) > 6*maxTime+2 { // the length if every byte is escaped, with quotes
		return 0, false
	}
	if raw[0] == '"' {
		s, isString := stringValue(raw)
		if !isString || len(s) == 0 || len(s) > maxTime {
			return 0, false
		}
		if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
			ms = t.UnixMilli()
			return ms, ms >= 0
		}
		raw = []byte(s)
	}
	n, ok := whole(raw)
	if !ok {
		return fractionalTime(raw)
	}
	switch {
	case n < 1e11:
		return n * 1000, true
	case n < 1e14:
		return n, true
	case n < 1e17:
		return n / 1e3, true
	default:
		return n / 1e6, true
	}
}

// maxTime is the length of the longest text that can be a time.
const maxTime = 64

// fractionalTime reads a number that is not a plain integer, such as 1795347082.176 or
// 1.795347082176e12.
func fractionalTime(raw []byte) (int64, bool) {
	for _, c := range raw {
		if (c < '0' || c > '9') && c != '.' && c != '-' && c != '+' && c|0x20 != 'e' {
			return 0, false // ParseFloat also accepts 1_000, 0x1p40 and NaN
		}
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	switch {
	case err != nil, !(f >= 0), f >= 1e19:
		return 0, false
	case f < 1e11:
		return int64(f*1000 + 0.5), true
	case f < 1e14:
		return int64(f), true
	case f < 1e17:
		return int64(f / 1e3), true
	default:
		return int64(f / 1e6), true
	}
}

// Refused reports whether CloudWatch would refuse an event with the time ms that arrives at now,
// both in milliseconds since 1970. margin narrows the range of accepted times, to allow for the
// time that a put and its retries may take.
func Refused(ms, now int64, margin time.Duration) bool {
	m := margin.Milliseconds()
	return ms < now-MaxEventAge.Milliseconds()+m || ms > now+MaxEventAhead.Milliseconds()-m
}
