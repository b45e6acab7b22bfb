package config

import (
	"fmt"
	"os"
	"path/filepath"
)

// DefaultJournalDir returns the folder of the journal where --journal-dir names none:
// perstack-shipper in $XDG_STATE_HOME or ~/.local/state, or, for a user without a home (as in many
// containers), perstack-shipper-UID in the temporary folder. The folder need not exist.
func DefaultJournalDir() string {
	// The XDG base directory specification has relative paths ignored.
	if state := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, Program)
	}
	if home, err := os.UserHomeDir(); err == nil && filepath.IsAbs(home) && home != "/" {
		return filepath.Join(home, ".local", "state", Program)
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("%s-%d", Program, os.Getuid()))
}
