package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"perstack-shipper/config"
)

// version and commit are set by the linker (see the Makefile). A program built by `go install` or
// `go build` has the values that the Go command recorded instead.
var version, commit string

// versionLine returns a line with the program, its version, the commit it was built from and the Go
// version.
func versionLine() string {
	v, c := buildOf(debug.ReadBuildInfo())
	return fmt.Sprintf("%s %s, commit %s, %s %s/%s", config.Program, v, c, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// versionName returns the version alone.
func versionName() string {
	v, _ := buildOf(debug.ReadBuildInfo())
	return v
}

// buildOf returns version and commit: those that the linker set, else those in info, else words
// that stand for a missing one.
func buildOf(info *debug.BuildInfo, ok bool) (v, c string) {
	v, c = version, commit
	if ok {
		if v == "" {
			v = info.Main.Version
		}
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" && c == "" {
				c = setting.Value
			}
		}
	}
	if v == "" {
		v = "(devel)"
	}
	if c == "" {
		c = "unknown"
	}
	return v, c
}
