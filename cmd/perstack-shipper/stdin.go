package main

import (
	"os"

	"golang.org/x/sys/unix"

	"perstack-shipper/config"
)

// checkStdin returns a *config.UsageError if stdin can never be read.
func checkStdin(stdin *os.File) error {
	const remedy = "pipe the agent's output into it, or name files with --input"
	if info, err := stdin.Stat(); err == nil && info.IsDir() {
		return config.Usage("", "stdin is a directory: "+remedy)
	}
	flags, err := unix.FcntlInt(stdin.Fd(), unix.F_GETFL, 0)
	if err == nil && flags&unix.O_ACCMODE == unix.O_WRONLY {
		return config.Usage("", "stdin is not open for reading: "+remedy)
	}
	return nil
}
