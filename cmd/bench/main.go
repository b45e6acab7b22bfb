// Command bench compares perstack-shipper with other ways to ship the same lines, and writes the
// results to BENCHMARKS.md. `make bench` builds and runs it.
//
// Every measured program is a separate process that is fed through a pipe. Its CPU time and peak
// memory are what the kernel reports when it ends. The endpoint is also a separate process. During
// a measurement it only counts and keeps the bodies; afterwards it decodes them and checks that
// every line arrived exactly once. The rows of a table are run in turn (A B C A B C …), so that a
// change in the machine's speed affects all of them.
//
// All of these processes run this command. Its first argument selects the role:
//
//	run       run the comparison (the default)
//	generate  write a workload's lines to a file
//	endpoint  receive puts
//	loop      ship stdin with a hundred lines of Go (loop.go)
//	sdk       put prepared events with the SDK: the cost of its encoder and signature
//	http      put prepared bodies with net/http alone: the cost of sending
//	floor     read, hash, shape and compress a file: the cost of these steps
//
// Its files:
//
//	main.go, run.go                               the roles; the comparison, step by step
//	workload.go, feed_linux.go, feed_other.go     the lines, and how they reach a program
//	process.go, machine.go                        a measured program, and the machine
//	endpoint.go, keep.go, protocol.go, client.go  the endpoint, the bodies it keeps, its protocol
//	check.go, decode.go                           whether every line arrived once and unchanged
//	throughput.go, ship.go, wire.go               lines per second, and bytes on the wire
//	backlog.go, ends.go, quiet.go, size.go        outages, short runs, a quiet agent, size
//	loop.go, limits.go                            what the program is compared with
//	profile.go                                    the program under a profiler, in a separate build
//	report.go, render.go                          the verdicts, and BENCHMARKS.md
package main

import (
	"fmt"
	"maps"
	"os"
)

// roles maps the first argument to what the command does. main fills it in, and so does profile.go
// if it is part of the build.
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
		fmt.Fprintf(os.Stderr, "bench: unknown role %q; use run, generate, endpoint, loop, sdk, http or floor\n", role)
		os.Exit(2)
	}
	if err := run(args); err != nil {
		fmt.Fprintln(os.Stderr, "bench "+role+":", err)
		os.Exit(1)
	}
}
