package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestLinkerCanDropMethods finds packages that call methods by names computed at run time. If the
// program links one of them, it keeps every exported method: 5 MB, most of them AWS actions that it
// never calls.
func TestLinkerCanDropMethods(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(lifetime(t), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	linked := strings.Fields(string(out))
	for _, name := range []string{"text/template", "html/template", "net/rpc"} {
		if slices.Contains(linked, name) {
			t.Errorf("%s is linked, which makes the program 5 MB larger", name)
		}
	}
}
