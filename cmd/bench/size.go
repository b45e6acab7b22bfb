package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// sizeResult is the size of the program.
type sizeResult struct {
	bytes   int64
	modules []string // direct dependencies
}

// size measures the binary, and lists the modules that its packages import.
func (b *bench) size() error {
	info, err := os.Stat(b.program)
	if err != nil {
		return err
	}
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	out, err := exec.Command("go", "mod", "edit", "-json").Output()
	if err != nil {
		return fmt.Errorf("go mod edit -json: %w", err)
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		return fmt.Errorf("go mod edit -json: %w", err)
	}
	out, err = exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", "./cmd/perstack-shipper").Output()
	if err != nil {
		return fmt.Errorf("go list -deps ./cmd/perstack-shipper: %w", err)
	}
	linked := strings.Fields(string(out))
	r := &sizeResult{bytes: info.Size()}
	for _, m := range mod.Require {
		if !m.Indirect && slices.Contains(linked, m.Path) {
			r.modules = append(r.modules, m.Path)
		}
	}
	b.report.size = r
	b.report.judge(10, "binary, stripped", "at most 16 MB", fmt.Sprintf("%.1f MB", float64(r.bytes)/1e6), r.bytes <= 16_000_000)
	b.report.judge(10, "direct dependencies outside tests", "at most 10", fmt.Sprint(len(r.modules)), len(r.modules) <= 10)
	return nil
}
