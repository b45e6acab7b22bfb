package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestLinkerCanDropMethods finds packages that reach methods by names they make up at run time.
// With one of them linked, every exported method stays in the program: 5 MB, most of which is AWS
// actions that nobody calls.
func TestLinkerCanDropMethods(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
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
