package batch

import (
	"encoding/binary"
	"strconv"
)

// eightDigits returns the number written as eight ASCII digits, loaded little-endian. ok is false
// if they are not all digits.
func eightDigits(w uint64) (n uint64, ok bool) {
	w ^= ones * '0'
	if (w|(w+ones*(0x80-10)))&highs != 0 { // 10 or more, or a carry out of such a byte
		return 0, false
	}
	w = w*10 + w>>8 // two digits in every other byte
	return (w&0x000000ff000000ff*(100+1000000<<32) + w>>16&0x000000ff000000ff*(1+10000<<32)) >> 32, true
}

// whole returns the number that text spells in digits only. ok is false for anything else, and for
// a number that does not fit.
func whole(text []byte) (n int64, ok bool) {
	if n, ok := integer(text); ok {
		return int64(n), true
	}
	for _, c := range text {
		if c < '0' || c > '9' || n > (1<<63-10)/10 {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, len(text) > 0
}

// integer returns the number written as 8 to 16 digits, which most timestamps are. ok is false for
// anything else.
func integer(text []byte) (n uint64, ok bool) {
	const most = 16
	if len(text) < 8 || len(text) > most {
		return 0, false
	}
	high, ok := eightDigits(binary.LittleEndian.Uint64(text))
	// These eight overlap the first eight.
	low, also := eightDigits(binary.LittleEndian.Uint64(text[len(text)-8:]))
	return high/powers[most-len(text)]*1e8 + low, ok && also
}

var powers = [...]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8}

// counter formats numbers that mostly increase by one from call to call.
type counter struct {
	n      int64
	digits []byte
}

// text returns the decimal digits of n, which must not be negative. They belong to the counter and
// are valid until the next call.
func (c *counter) text(n int64) []byte {
	if last := len(c.digits) - 1; n == c.n+1 && last >= 0 && c.digits[last] != '9' {
		c.digits[last]++
	} else {
		c.digits = strconv.AppendInt(c.digits[:0], n, 10)
	}
	c.n = n
	return c.digits
}
