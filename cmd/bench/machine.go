package main

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

// This file asks the machine what it is and what else it does meanwhile. What /proc does not say on
// a system stays unsaid.

// machine is what a sitting ran on.
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

// commit is what the working folder is at, with a mark where it was changed since.
func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--abbrev=12", "--dirty=, changed").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// procField is the value behind "name:" in a file of /proc.
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

// fileSystem names the file system of dir: the longest mount point that it lies under.
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

// memoryAvailable is how much memory there is to take, 2 GB where nobody says.
func memoryAvailable() int64 {
	kib, err := strconv.ParseInt(strings.TrimSuffix(procField("/proc/meminfo", "MemAvailable"), " kB"), 10, 64)
	if err != nil {
		return 2 << 30
	}
	return kib << 10
}

// ownPeak is the peak of this process's memory in bytes. A process that it starts begins as a share
// of it, and the kernel counts that in the other's peak: no row can show less, so this process
// stays small.
func ownPeak() int64 {
	kib, err := strconv.ParseInt(strings.TrimSuffix(procField("/proc/self/status", "VmHWM"), " kB"), 10, 64)
	if err != nil {
		return 0
	}
	return kib << 10
}

// residentBytes is what a process holds now.
func residentBytes(pid int) (int64, error) {
	kib, err := strconv.ParseInt(strings.TrimSuffix(procField(fmt.Sprintf("/proc/%d/status", pid), "VmRSS"), " kB"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the memory of process %d: %w; this step needs Linux", pid, err)
	}
	return kib << 10, nil
}

// threadsCPU is the CPU time of a process's threads, to the nanosecond, which its rusage is not.
// Threads of Go programs stay.
func threadsCPU(pid int) (time.Duration, error) {
	paths, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(paths) == 0 {
		return 0, errors.Join(fmt.Errorf("the threads of process %d are not to be seen; this step needs Linux", pid), err)
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

// watchOthers begins to watch what the machine does beside us. The function that it returns says
// how much that was: of one core, on average, the time the host took away included; less than 0
// where it cannot be told.
func (b *bench) watchOthers() func() float64 {
	began, all, mine := time.Now(), machineCPU(), b.sittingCPU()
	return func() float64 {
		if all == 0 {
			return -1
		}
		others := (machineCPU() - all) - (b.sittingCPU() - mine)
		return max(0, others.Seconds()/time.Since(began).Seconds())
	}
}

// machineCPU is the time that the machine's cores were busy since its start.
func machineCPU() time.Duration {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(data), "\n")
	var ticks int64
	for i, field := range strings.Fields(line) {
		if i == 0 || i == 4 || i == 5 || i > 8 { // the name, idle, waiting for the disk, guests (counted already)
			continue
		}
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond // a hundred ticks a second, on every Linux that Go runs on
}

// sittingCPU is what this process, those it has run, and the endpoint have spent.
func (b *bench) sittingCPU() time.Duration {
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
