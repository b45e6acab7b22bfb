package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// options are the options of `bench run`.
type options struct {
	program string  // perstack-shipper
	dir     string  // for workloads and journals; should be on a disk
	out     string  // the Markdown file to write; "": none
	scale   float64 // of the workloads; 1 means 2,000,000 deltas and so on
	runs    int     // per row
	quiet   time.Duration
	only    []string   // steps to run; empty: all
	also    []*program // other commands that read stdin
}

// bench is a run of the comparison.
type bench struct {
	options
	self     string // path of this program, for the other roles
	endpoint *endpointProcess
	began    time.Time
	files    map[string]*file
	report   report
}

// step is one step of the comparison.
type step struct {
	name string
	do   func(*bench) error
}

var steps = []step{
	{"deltas", func(b *bench) error { return b.throughput("deltas") }},
	{"long", func(b *bench) error { return b.throughput("long") }},
	{"wire", (*bench).wire},
	{"linear", (*bench).linear},
	{"latency", (*bench).roundTrips},
	{"reader", (*bench).reader},
	{"away", (*bench).away},
	{"ends", (*bench).ends},
	{"quiet", (*bench).quietly},
	{"size", (*bench).size},
}

// runBench runs the comparison.
func runBench(args []string) error {
	b := &bench{began: time.Now(), files: map[string]*file{}}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&b.program, "program", "bin/perstack-shipper", "the perstack-shipper to measure")
	flags.StringVar(&b.dir, "dir", ".cache/bench", "folder for workloads and journals")
	flags.StringVar(&b.out, "out", "", "Markdown file to write")
	flags.Float64Var(&b.scale, "scale", 0.25, "size of the workloads; 1 means 2,000,000 deltas")
	flags.IntVar(&b.runs, "runs", 5, "runs per row")
	flags.DurationVar(&b.quiet, "quiet", 20*time.Second, "how long to watch a quiet input")
	only := flags.String("only", "", "comma-separated steps to run: "+stepNames())
	flags.Func("also", "another command that reads stdin, as `name=command`; AWS_ENDPOINT_URL, BENCH_GROUP and BENCH_STREAM are set for it", func(text string) error {
		name, command, ok := strings.Cut(text, "=")
		if !ok {
			return errors.New("write it like name=command")
		}
		b.also = append(b.also, &program{name: name, argv: []string{"sh", "-c", command}, env: []string{"BENCH_GROUP=" + limitGroup, "BENCH_STREAM=also"}})
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *only != "" {
		b.only = strings.Split(*only, ",")
	}
	return b.run()
}

func stepNames() string {
	var names []string
	for _, s := range steps {
		names = append(names, s.name)
	}
	return strings.Join(names, ", ")
}

func (b *bench) run() (err error) {
	for _, name := range b.only {
		if !slices.ContainsFunc(steps, func(s step) bool { return s.name == name }) {
			return fmt.Errorf("unknown step %q; the steps are %s", name, stepNames())
		}
	}
	if b.program, err = filepath.Abs(b.program); err != nil {
		return err
	}
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	if b.dir, err = runDir(b.dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if b.endpoint, err = b.startEndpoint(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.endpoint.stop()) }()
	if err := b.measureFloors(); err != nil {
		return err
	}
	for _, s := range steps {
		if len(b.only) > 0 && !slices.Contains(b.only, s.name) {
			continue
		}
		began := time.Now()
		others := b.watchOthers()
		if err := s.do(b); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		b.report.noise = append(b.report.noise, noise{s.name, time.Since(began), others()})
		fmt.Fprintf(os.Stderr, "%s: %.0f s\n", s.name, time.Since(began).Seconds())
	}
	text := b.render()
	fmt.Print(text)
	if b.out != "" {
		before, err := os.ReadFile(b.out)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		text += byHand(string(before))
		if err := os.WriteFile(b.out, []byte(text), 0o644); err != nil {
			return err
		}
		fmt.Fprintln(os.Stderr, "written to", b.out)
	}
	return nil
}

// handMark starts the part at the end of the report that is measured by other means than this
// command.
const handMark = "\n## Measured by hand\n"

// byHand returns the part of an earlier report that a new one keeps unchanged.
func byHand(before string) string {
	_, rest, found := strings.Cut(before, handMark)
	if !found {
		return ""
	}
	return handMark + rest
}

// runDir creates a folder in dir for this run, and removes the folders of aborted runs, which may
// hold gigabytes.
func runDir(dir string) (string, error) {
	const prefix = "run-"
	old, err := filepath.Glob(filepath.Join(dir, prefix+"*"))
	if err != nil {
		return "", err
	}
	for _, path := range old {
		pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(path), prefix))
		if err != nil || !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			continue // not ours, or still running
		}
		if err := os.RemoveAll(path); err != nil {
			return "", err
		}
	}
	path, err := filepath.Abs(filepath.Join(dir, prefix+strconv.Itoa(os.Getpid())))
	if err != nil {
		return "", err
	}
	return path, errors.Join(os.RemoveAll(path), os.MkdirAll(path, 0o700))
}

// count returns n at the scale of this run.
func (b *bench) count(n int) int { return max(1, int(float64(n)*b.scale)) }

// file is a workload on disk.
type file struct {
	path string
	written
}

// generate returns a workload on disk. It creates each name only once.
func (b *bench) generate(name string, w workload) (*file, error) {
	if f := b.files[name]; f != nil {
		return f, nil
	}
	w.Base = b.began.UnixMilli()
	f := &file{path: filepath.Join(b.dir, name+".jsonl")}
	if err := b.call(&f.written, nil, "generate", asJSON(w), f.path); err != nil {
		return nil, err
	}
	b.files[name] = f
	// The memory of this process counts in the peak of those that it starts: see ownPeak.
	runtime.GC()
	return f, nil
}

// drop removes a workload that no later step needs.
func (b *bench) drop(f *file) error {
	for name, other := range b.files {
		if other == f {
			delete(b.files, name)
		}
	}
	return os.Remove(f.path)
}
