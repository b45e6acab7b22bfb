//go:build !linux

package follow

import "os"

// hasWriter does not know on this system.
func hasWriter(*os.File) (writer, known bool) { return false, false }
