// Command agent stands for the agent under `perstack-shipper exec`: it writes one file to stdout and another to stderr, piece by piece, and leaves a note of
// how many bytes of each it has written when it ends, or is told to.
//
//	agent OUT ERR NOTE SEED
package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		os.Exit(3)
	}
}

func run(args []string) error {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT) // the last is how a terminal would; a group that is orphaned while it is stopped gets the second
	if len(args) != 4 {
		return fmt.Errorf("usage: agent OUT ERR NOTE SEED")
	}
	seed, err := strconv.ParseUint(args[3], 10, 64)
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	to := []*os.File{os.Stdout, os.Stderr}
	var left [2][]byte
	for i := range left {
		if left[i], err = os.ReadFile(args[i]); err != nil {
			return err
		}
	}
	var wrote [2]int
	for len(left[0])+len(left[1]) > 0 && len(told) == 0 {
		i := rng.IntN(2)
		n, err := to[i].Write(left[i][:min(len(left[i]), 1+rng.IntN(32<<10))])
		wrote[i] += n
		left[i] = left[i][n:]
		if err != nil {
			return err
		}
		if rng.IntN(3) == 0 {
			time.Sleep(time.Duration(rng.IntN(5000)) * time.Microsecond)
		}
	}
	note := args[2]
	if err := os.WriteFile(note+".new", fmt.Appendf(nil, "%d %d", wrote[0], wrote[1]), 0o600); err != nil {
		return err
	}
	return os.Rename(note+".new", note)
}
