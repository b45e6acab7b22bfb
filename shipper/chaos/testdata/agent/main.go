// Command agent plays the agent under `perstack-shipper exec`. It writes one file to stdout and
// another to stderr, piece by piece. When it ends or is told to end, it leaves a note of how many
// bytes of each it wrote. Now and then it opens /dev/stdout or /dev/stderr by name, as scripts do.
// If that truncates a file, the note says after which byte.
//
//	agent OUT ERR NOTE SEED
package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		os.Exit(3)
	}
}

// note is the content of the note.
type note struct {
	Wrote [2]int // bytes to stdout and to stderr
	Cuts  []int  // how many bytes had been written to stdout each time it was truncated
}

func run(args []string) error {
	told := make(chan os.Signal, 1)
	// A terminal would send SIGINT. A process group that is orphaned while stopped gets SIGHUP.
	signal.Notify(told, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT)
	if len(args) != 4 {
		return fmt.Errorf("usage: agent OUT ERR NOTE SEED")
	}
	seed, err := strconv.ParseUint(args[3], 10, 64)
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	to := []*os.File{os.Stdout, os.Stderr}
	info, err := os.Stdout.Stat()
	if err != nil {
		return err
	}
	file := info.Mode().IsRegular()
	cuts := !file || rng.IntN(2) == 0 // truncating a file may lose what it held
	var left [2][]byte
	for i := range left {
		if left[i], err = os.ReadFile(args[i]); err != nil {
			return err
		}
	}
	var n note
	for len(left[0])+len(left[1]) > 0 && len(told) == 0 {
		i := rng.IntN(2)
		piece := left[i][:min(len(left[i]), 1+rng.IntN(32<<10))]
		var wrote int
		var err error
		switch roll := rng.IntN(12); {
		case roll == 0 && (i == 1 || cuts):
			if i == 0 && file {
				n.Cuts = append(n.Cuts, n.Wrote[0])
			}
			wrote, err = byName(i, os.O_TRUNC, piece)
		case roll <= 1:
			wrote, err = byName(i, os.O_APPEND, piece)
		default:
			wrote, err = to[i].Write(piece)
		}
		n.Wrote[i] += wrote
		left[i] = left[i][wrote:]
		if err != nil {
			return err
		}
		if rng.IntN(3) == 0 {
			time.Sleep(time.Duration(rng.IntN(5000)) * time.Microsecond)
		}
	}
	// Data in a FIFO is gone once nobody has it open, so wait until somebody has read it.
	for _, f := range to {
		for {
			in, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCINQ)
			if info, serr := f.Stat(); serr != nil || err != nil || in == 0 || info.Mode().IsRegular() {
				break
			}
			time.Sleep(time.Millisecond)
		}
	}
	data, err := json.Marshal(n)
	if err != nil {
		return err
	}
	if err := os.WriteFile(args[2]+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(args[2]+".new", args[2])
}

// byName writes like `>/dev/stdout` and `>>/dev/stderr`.
func byName(i, flag int, piece []byte) (int, error) {
	f, err := os.OpenFile([]string{"/dev/stdout", "/dev/stderr"}[i], os.O_WRONLY|flag, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return f.Write(piece)
}
