//go:build !portable

package journal

import (
	"testing"
	"time"
)

// TestHeartbeatOnAFullDisk checks that a full disk does not stop a heartbeat.
func TestHeartbeatOnAFullDisk(t *testing.T) {
	dir := smallDisk(t, "1m")
	folder, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	h := folder.Heartbeat("host")
	fill(t, dir)
	h.Beat(time.Now().Add(time.Hour))
	pulses := heartbeats(dir)
	if len(pulses) != 1 || time.Until(pulses[0].Beat) < 50*time.Minute {
		t.Errorf("the pulses are %+v, want one that beats in an hour", pulses)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if left := heartbeats(dir); len(left) > 0 {
		t.Errorf("the heartbeats %+v are left", left)
	}
}
