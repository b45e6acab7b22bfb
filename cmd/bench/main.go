// Command bench measures perstack-shipper beside what else could ship the same lines, and writes
// what it found to BENCHMARKS.md. `make bench` builds and runs it.
//
// Every program that is measured is a process of its own, fed through a pipe, and its CPU time and
// peak memory are what the kernel says of it when it ends. The endpoint is a process of its own
// too: while the clock runs it counts and keeps the bodies, and only afterwards it decodes them and
// says whether every line arrived once. The rows of a table are run in turns (A B C A B C …), so
// that a machine whose speed changes changes it for all.
//
// The command is all of these processes; its first argument says which:
//
//	run       the comparison (the default)
//	generate  write a workload's lines to a file
//	endpoint  take puts
//	loop      ship stdin as a hundred lines of Go would (loop.go)
//	sdk       put events that are ready, by the SDK: what its encoder and its signature cost
//	http      put bodies that are ready, by net/http alone: what the wire costs
//	floor     read and hash a file: what these cost whoever does it
//
// Its files:
//
//	main.go, run.go                               the processes; the comparison, step by step
//	workload.go, feed_linux.go, feed_other.go     the lines, and how they reach a program
//	process.go, machine.go                        a program that is measured, and the machine
//	endpoint.go, keep.go, protocol.go, client.go  the endpoint, the bodies it keeps, what it is asked
//	check.go, decode.go                           whether every line arrived once and unchanged
//	throughput.go, ship.go, wire.go               lines a second, and bytes on the wire
//	backlog.go, ends.go, quiet.go, size.go        an outage, short lives, an agent that says little, size
//	loop.go, limits.go                            what the program is compared with
//	profile.go                                    the program under a profiler, in a build of its own
//	report.go, render.go                          the verdicts, and BENCHMARKS.md
package main

import (
	"fmt"
	"maps"
	"os"
)

// roles are what this command can be, by the first argument. They are filled in by main, and by
// profile.go where that is built.
var roles = map[string]func([]string) error{}

func main() {
	role, args := "run", os.Args[1:]
	if len(args) > 0 && args[0] != "" && args[0][0] != '-' {
		role, args = args[0], args[1:]
	}
	maps.Copy(roles, map[string]func([]string) error{
		"run": runBench, "generate": runGenerate, "endpoint": runEndpoint,
		"loop": runLoop, "sdk": runSDK, "http": runHTTP, "floor": runFloor,
	})
	run, ok := roles[role]
	if !ok {
		fmt.Fprintf(os.Stderr, "bench: %q is none of run, generate, endpoint, loop, sdk, http, floor\n", role)
		os.Exit(2)
	}
	if err := run(args); err != nil {
		fmt.Fprintln(os.Stderr, "bench "+role+":", err)
		os.Exit(1)
	}
}
