package main

// This file finds out about the machine and what else it is doing. It leaves out what /proc does
// not tell.

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// machine describes the machine.
type machine struct {
	cpu, kernel, memory, disk, goVersion, commit string
}

func (b *bench) describeMachine() machine {
	m := machine{goVersion: runtime.Version(), cpu: fmt.Sprintf("%d cores", runtime.NumCPU()), commit: commit()}
	if name := procField("/proc/cpuinfo", "model name"); name != "" {
		m.cpu += ", " + name
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.kernel = unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
	}
	if kib, err := strconv.ParseInt(strings.TrimSuffix(procField("/proc/meminfo", "MemTotal"), " kB"), 10, 64); err == nil {
		m.memory = fmt.Sprintf("%.0f GB", float64(kib<<10)/1e9)
	}
	m.disk = fileSystem(b.dir)
	return m
}

// commit returns the commit of the working folder, marked if there are changes.
func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--abbrev=12", "--dirty=, changed").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// procField returns the value after "name:" in a file in /proc.
func procField(path, name string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// fileSystem returns the type of the file system of dir: that of the longest mount point above it.
func fileSystem(dir string) string {
	data, err := os.ReadFile("/proc/mounts")
	if err != nil {
		return ""
	}
	found, kind := "", ""
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			continue
		}
		if at, err := filepath.Rel(fields[1], dir); err == nil && at != ".." && !strings.HasPrefix(at, "../") && len(fields[1]) >= len(found) {
			found, kind = fields[1], fields[2]
		}
	}
	return kind
}

// memoryAvailable returns the available memory, or 2 GB if it is unknown.
func memoryAvailable() int64 {
	kib, err := strconv.ParseInt(strings.TrimSuffix(procField("/proc/meminfo", "MemAvailable"), " kB"), 10, 64)
	if err != nil {
		return 2 << 30
	}
	return kib << 10
}

// ownPeak returns the peak memory of this process in bytes. A process that it starts initially
// shares its memory, which the kernel counts in that process's peak. No row can show less, so this
// process stays small.
func ownPeak() int64 {
	kib, err := strconv.ParseInt(strings.TrimSuffix(procField("/proc/self/status", "VmHWM"), " kB"), 10, 64)
	if err != nil {
		return 0
	}
	return kib << 10
}

// residentBytes returns a process's resident memory.
func residentBytes(pid int) (int64, error) {
	kib, err := strconv.ParseInt(strings.TrimSuffix(procField(fmt.Sprintf("/proc/%d/status", pid), "VmRSS"), " kB"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the memory of process %d: %w; this step requires Linux", pid, err)
	}
	return kib << 10, nil
}

// threadsCPU returns the CPU time of a process's threads, to the nanosecond, which its rusage is
// not. Threads of Go programs do not end.
func threadsCPU(pid int) (time.Duration, error) {
	paths, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(paths) == 0 {
		return 0, errors.Join(fmt.Errorf("the threads of process %d cannot be seen; this step requires Linux", pid), err)
	}
	var sum int64
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		ran, _, _ := bytes.Cut(data, []byte(" "))
		n, err := strconv.ParseInt(string(ran), 10, 64)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return time.Duration(sum), nil
}

// watchOthers starts to measure the machine's other load. The returned function reports it in
// cores, on average, including time that the host took away. It is negative if unknown.
func (b *bench) watchOthers() func() float64 {
	began, all, mine := time.Now(), machineCPU(), b.benchCPU()
	return func() float64 {
		if all == 0 {
			return -1
		}
		others := (machineCPU() - all) - (b.benchCPU() - mine)
		return max(0, others.Seconds()/time.Since(began).Seconds())
	}
}

// machineCPU returns how long the machine's cores have been busy since it booted.
func machineCPU() time.Duration {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(data), "\n")
	var ticks int64
	for i, field := range strings.Fields(line) {
		// Skip the name, idle, waiting for the disk, and guests, which are already counted.
		if i == 0 || i == 4 || i == 5 || i > 8 {
			continue
		}
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0
		}
		ticks += n
	}
	// There are 100 ticks per second on every Linux that Go runs on.
	return time.Duration(ticks) * 10 * time.Millisecond
}

// benchCPU returns the CPU time of this process, of those it ran, and of the endpoint.
func (b *bench) benchCPU() time.Duration {
	sum := ownCPU()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &u); err == nil {
		sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	if d, err := threadsCPU(b.endpoint.cmd.Process.Pid); err == nil {
		sum += d
	}
	return sum
}
