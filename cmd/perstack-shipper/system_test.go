package main

import (
	"strings"
	"testing"
)

// What only Linux can do is said in one line elsewhere, and never on Linux.
func TestSystemLimits(t *testing.T) {
	if said := systemLimits("linux"); said != "" {
		t.Errorf("on Linux: %s", said)
	}
	if said := systemLimits("darwin"); !strings.HasPrefix(said, "on darwin ") || !strings.Contains(said, "use Linux") || strings.Contains(said, "\n") {
		t.Errorf("on darwin: %q", said)
	}
}
