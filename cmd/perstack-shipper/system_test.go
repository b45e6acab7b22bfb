package main

import (
	"strings"
	"testing"
)

// Systems other than Linux get one line about what they lack. Linux gets none.
func TestSystemLimits(t *testing.T) {
	if said := systemLimits("linux"); said != "" {
		t.Errorf("on Linux: %s", said)
	}
	if said := systemLimits("darwin"); !strings.HasPrefix(said, "on darwin ") || !strings.Contains(said, "use Linux") || strings.Contains(said, "\n") {
		t.Errorf("on darwin: %q", said)
	}
}
