package main

import "fmt"

// systemLimits returns a sentence about what shipping on a system, named by its GOOS, lacks in
// comparison with Linux. It returns "" for Linux.
func systemLimits(goos string) string {
	if goos == "linux" {
		return ""
	}
	return fmt.Sprintf("on %s the journal cannot be kept in memory, frees no disk space while the command of exec still writes, and cannot tell whether a command outlived its shipper: use Linux in production", goos)
}
