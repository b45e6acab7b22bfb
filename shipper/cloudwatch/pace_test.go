package cloudwatch

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestPace checks that no second has more calls than the quota, however long the reader was idle
// and however fast it reads.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, region := range []string{"us-east-1", "eu-west-3", "eu-central-1"} {
			for _, q := range []quota{getQuota, filterQuota} {
				c := &Client{region: region}
				most, ok := q.regions[region]
				if !ok {
					most = q.lowest
				}
				var calls []time.Time
				begin := time.Now()
				for n := range 300 {
					if n == 150 {
						time.Sleep(time.Hour)
					}
					if err := c.pace(t.Context(), &c.gets, q); err != nil {
						t.Fatal(err)
					}
					calls = append(calls, time.Now())
				}
				if took := time.Since(begin) - time.Hour; took > 400*time.Second/time.Duration(most) {
					t.Errorf("%s: 300 calls at %d per second took %s", region, most, took)
				}
				for n, at := range calls[:len(calls)-most] {
					if d := calls[n+most].Sub(at); d < time.Second {
						t.Fatalf("%s: %d calls in %s", region, most+1, d)
					}
				}
			}
		}
	})
}

func TestLoopbackIsNotPaced(t *testing.T) {
	for endpoint, want := range map[string]bool{
		"http://127.0.0.1:4586": true, "http://localhost": true, "http://[::1]:1/": true,
		"https://vpce-1.logs.eu-west-1.vpce.amazonaws.com": false, "http://10.0.0.1": false, "": false,
	} {
		if isLoopback(endpoint) != want {
			t.Errorf("%q", endpoint)
		}
	}
}
