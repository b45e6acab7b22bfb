package main

import "testing"

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1}, 5}, {[]float64{9, 1, 4}, 4}, {[]float64{8, 1, 4, 6}, 5}} {
		if got := median(c.values); got != c.want {
			t.Errorf("the median of %v is %v, want %v", c.values, got, c.want)
		}
	}
}

func TestNumbers(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 7.6: "8", 999: "999", 1000: "1,000", 12_345: "12,300", 2_000_000: "2,000,000", 1_234_567: "1,230,000"} {
		if got := thousands(v); got != want {
			t.Errorf("%v is formatted as %s, want %s", v, got, want)
		}
	}
	if got := spread([]float64{3, 1, 2}, decimals(1)); got != "2.0 (1.0–3.0)" {
		t.Error(got)
	}
}
