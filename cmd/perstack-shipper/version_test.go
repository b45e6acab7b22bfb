package main

import (
	"runtime/debug"
	"testing"
)

func TestBuildOf(t *testing.T) {
	info := &debug.BuildInfo{
		Main:     debug.Module{Version: "v1.2.3"},
		Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}},
	}
	for _, tt := range []struct {
		name, version, commit string
		info                  *debug.BuildInfo
		wantVersion, want     string
	}{
		{"recorded by the Go command", "", "", info, "v1.2.3", "abc"},
		{"set by the linker", "v2", "def", info, "v2", "def"},
		{"neither", "", "", &debug.BuildInfo{}, "(devel)", "unknown"},
		{"no information", "", "", nil, "(devel)", "unknown"},
	} {
		version, commit = tt.version, tt.commit
		t.Cleanup(func() { version, commit = "", "" })
		if v, c := buildOf(tt.info, tt.info != nil); v != tt.wantVersion || c != tt.want {
			t.Errorf("%s: version %q, commit %q; want %q, %q", tt.name, v, c, tt.wantVersion, tt.want)
		}
	}
}
