package main

import "fmt"

// systemLimits says in one sentence what shipping cannot do on a system, by its GOOS, that it does
// on Linux; "" for Linux.
func systemLimits(goos string) string {
	if goos == "linux" {
		return ""
	}
	return fmt.Sprintf("on %s the journal cannot be kept in memory, frees no disk space while the command of exec still writes, and cannot tell whether a command outlived its shipper: use Linux in production", goos)
}
