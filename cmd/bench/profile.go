//go:build profile

package main

// This file is only part of builds with the tag profile. It ships as the program does, but with a
// profiler, because the program has none:
//
//	go build -tags profile -o .cache/bench/profile ./cmd/bench
//	.cache/bench/profile profile [scale]
//
// prints where CPU time and heap allocations go, for deltas and for lines of 41 KB. The profiles
// stay in .cache/bench.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper"
	"perstack-shipper/shipper/cloudwatch"
	feeding "perstack-shipper/shipper/feed"
	"perstack-shipper/shipper/journal"
)

func init() {
	roles["profile"] = runProfile
	roles["profiled"] = runProfiled
}

// runProfile ships both workloads and prints the top ten lines of each profile.
func runProfile(args []string) error {
	b := &bench{began: time.Now(), files: map[string]*file{}}
	b.options = options{dir: ".cache/bench", scale: 0.5}
	if len(args) == 1 {
		if _, err := fmt.Sscan(args[0], &b.scale); err != nil {
			return err
		}
	}
	var err error
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	out, err := filepath.Abs(b.dir)
	if err != nil {
		return err
	}
	if b.dir, err = runDir(out); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if b.endpoint, err = b.startEndpoint(); err != nil {
		return err
	}
	defer b.endpoint.stop()
	for _, w := range []struct {
		name string
		workload
	}{{"deltas", workload{Lines: b.count(2_000_000), Jobs: 1}}, {"long", workload{Lines: b.count(10_000), Jobs: 1, Long: true}}} {
		f, err := b.generate(w.name, w.workload)
		if err != nil {
			return err
		}
		prefix := filepath.Join(out, w.name)
		s, err := b.ship(&program{name: "profiled", env: b.env(false), argv: []string{b.self, "profiled", prefix, b.journal()}}, f, formShipper, 0)
		if err != nil {
			return err
		}
		fmt.Printf("== %s: %.0f events/s, %.2f CPU s per GB, peak RSS %.1f MB\n", w.name, s.eventsPerSecond(), s.cpuPerGB(), s.megabytesRSS())
		for _, p := range [][]string{{"CPU", "cpu"}, {"heap, all allocations", "heap", "-sample_index=alloc_space"}, {"heap, in use after a second", "inuse", "-sample_index=inuse_space"}} {
			cmd := exec.Command("go", append(append([]string{"tool", "pprof", "-top", "-nodecount=10"}, p[2:]...), prefix+"."+p[1])...)
			fmt.Println("--", p[0])
			cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
			if err := cmd.Run(); err != nil {
				return err
			}
		}
	}
	return nil
}

// runProfiled ships stdin. Its arguments are the prefix of the profiles' names and the journal
// folder.
func runProfiled(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: profiled PREFIX JOURNAL")
	}
	runtime.MemProfileRate = 64 << 10
	cpu, err := os.Create(args[0] + ".cpu")
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return err
	}
	early := time.AfterFunc(time.Second, func() {
		if err := writeHeap(args[0] + ".inuse"); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	})
	err = shipStdin(args[1])
	pprof.StopCPUProfile()
	if early.Stop() {
		err = errors.Join(err, writeHeap(args[0]+".inuse"))
	}
	return errors.Join(err, cpu.Close(), writeHeap(args[0]+".heap"))
}

func writeHeap(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup("heap").WriteTo(f, 0), f.Close())
}

// shipStdin ships stdin like the program's main function.
func shipStdin(dir string) error {
	ctx := context.Background()
	client, err := cloudwatch.New(ctx, cloudwatch.Options{Group: limitGroup})
	if err != nil {
		return err
	}
	defer client.Close()
	folder, err := journal.Open(dir)
	if err != nil {
		return err
	}
	id := journal.NewID()
	j, err := folder.NewPipe(id, nil, journal.Options{})
	if err != nil {
		return err
	}
	in, release, err := feeding.Stoppable(ctx, os.Stdin)
	if err != nil {
		return err
	}
	defer release()
	moved := make(chan error, 1)
	go func() { moved <- feeding.Move(ctx, in, j, nil, nil) }()
	_, err = shipper.New(shipper.Options{Client: client, Create: true, FlushInterval: time.Second, GiveUpAfter: time.Minute, MemoryMax: 32 << 20}).
		Run(ctx, []shipper.Input{{Journal: j.Journal, Primary: true, Shape: batch.Shape{Input: id, Template: "{jobId}", Hostname: "bench"}}}, nil)
	return errors.Join(err, <-moved)
}
