//go:build unix && !linux

package journal

import "os"

// HasWriter does not know on this system.
func HasWriter(*os.File) (writer, known bool) { return true, false }

func processWrites(int, identity) bool { return false }

func othersWrite(identity) (writer, known bool) { return true, false }
