package batch

import (
	"encoding/binary"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

func TestEightDigits(t *testing.T) {
	for _, text := range []string{"00000000", "00000001", "12345678", "90000000", "99999999", "01020304"} {
		want, _ := strconv.ParseUint(text, 10, 64)
		if n, ok := eightDigits(binary.LittleEndian.Uint64([]byte(text))); n != want || !ok {
			t.Errorf("%s: %d, %v", text, n, ok)
		}
		for i := range text { // every other byte in every position
			for c := range 256 {
				other := []byte(text)
				other[i] = byte(c)
				want, err := strconv.ParseUint(string(other), 10, 64)
				if n, ok := eightDigits(binary.LittleEndian.Uint64(other)); ok != (err == nil) || ok && n != want {
					t.Fatalf("%q: %d, %v; want %d, %v", other, n, ok, want, err)
				}
			}
		}
	}
}

func TestInteger(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SliceOfN(rapid.SampledFrom([]byte("0123456789")), 0, 20).Draw(t, "digits")
		if len(text) > 0 && rapid.IntRange(0, 3).Draw(t, "spoil") == 0 {
			text[rapid.IntRange(0, len(text)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "with")
		}
		want, err := strconv.ParseUint(string(text), 10, 64)
		n, ok := integer(text)
		if ok != (err == nil && len(text) >= 8 && len(text) <= 16) || ok && n != want {
			t.Fatalf("%q: %d, %v; want %d, %v", text, n, ok, want, err)
		}
	})
}

func TestCounter(t *testing.T) {
	var c counter
	for _, start := range []int64{0, 1, 8, 99, 100, 99_999_990, 5, 1<<63 - 30} {
		for n := start; n < start+25; n++ {
			if got := string(c.text(n)); got != strconv.FormatInt(n, 10) {
				t.Fatalf("text(%d) = %s", n, got)
			}
			if got := string(c.text(n)); got != strconv.FormatInt(n, 10) {
				t.Fatalf("the second text(%d) = %s", n, got)
			}
		}
	}
}

// order is slices.SortStableFunc by time for entries whose places increase, as those of a batch do.
func TestOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		times := rapid.SliceOfN(rapid.Int64Range(0, rapid.SampledFrom([]int64{1, 3, 1000}).Draw(t, "spread")), 0, 60).Draw(t, "times")
		if rapid.Bool().Draw(t, "nearly") {
			for i := range times {
				if times[i]%4 != 0 {
					times[i] = int64(i / 3)
				}
			}
		}
		var got []entry
		for i, at := range times {
			got = append(got, entry{at, place(10 * i), place(10*i + 9)})
		}
		want := slices.Clone(got)
		slices.SortStableFunc(want, func(a, b entry) int { return int(a.time - b.time) })
		if order(got); !slices.Equal(got, want) {
			t.Fatalf("order(%v) = %v", times, got)
		}
	})
}
