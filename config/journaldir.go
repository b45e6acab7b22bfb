package config

import (
	"fmt"
	"os"
	"path/filepath"
)

// DefaultJournalDir returns the journal folder for a run without --journal-dir: perstack-shipper in
// $XDG_STATE_HOME or ~/.local/state. A user without a home, as in many containers, gets
// perstack-shipper-UID in the temporary folder. The folder need not exist.
func DefaultJournalDir() string {
	// The XDG base directory specification says to ignore relative paths.
	if state := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, Program)
	}
	if home, err := os.UserHomeDir(); err == nil && filepath.IsAbs(home) && home != "/" {
		return filepath.Join(home, ".local", "state", Program)
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("%s-%d", Program, os.Getuid()))
}
