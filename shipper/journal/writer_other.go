//go:build unix && !linux

package journal

import "os"

// HasWriter does not know on this system.
func HasWriter(*os.File) (writer, known bool) { return true, false }

// HasOpen does not know on this system.
func HasOpen(int, string) bool { return false }

func othersHaveOpen(string) bool { return false }
