package journal

// This file makes the heartbeat of a shipper: a locked file in the journal folder, whose
// modification time is that of the latest turn of the shipper's loop. It shows other processes that
// the shipper lives and is not stuck, whatever CloudWatch does and whether or not the shipper holds
// an input.

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	heartbeatPrefix = "alive-"

	// HeartbeatEvery is the shortest interval between two renewals of a heartbeat.
	HeartbeatEvery = 5 * time.Second

	maxHostBytes = 64 // limit on the host name in the name of a heartbeat file
)

// Heartbeat is the heartbeat of one loop, and belongs to the goroutine of that loop. A nil
// Heartbeat, as a folder in memory has, does nothing.
type Heartbeat struct {
	folder string
	host   string
	f      *os.File // nil if the file could not be made yet
	beaten time.Time
}

// Heartbeat begins a heartbeat of this process and removes those of dead processes. If the disk is
// full, Beat tries again. Heartbeat returns nil if the folder is in memory.
func (f *Folder) Heartbeat(hostname string) *Heartbeat {
	if f.path == "" {
		return nil
	}
	h := &Heartbeat{folder: f.path, host: hostInName(hostname)}
	for _, dead := range heartbeats(f.path) {
		dead.remove()
	}
	h.Beat(time.Now())
	return h
}

// Beat records that the loop turns. It does nothing if the last beat was less than [HeartbeatEvery]
// ago. It only changes the file's modification time, which works on a full disk.
func (h *Heartbeat) Beat(now time.Time) {
	if h == nil || now.Sub(h.beaten) < HeartbeatEvery {
		return
	}
	h.beaten = now
	if h.f != nil && !stillThere(h.f, h.f.Name()) { // somebody has removed the file
		h.f.Close()
		h.f = nil
	}
	if h.f == nil {
		h.f = h.make()
		return
	}
	tv := unix.NsecToTimeval(now.UnixNano())
	// The next beat tries again. If that never works, the age of the file shows it.
	_ = unix.Futimes(int(h.f.Fd()), []unix.Timeval{tv, tv})
}

// make makes the file and locks it. Another start that removes dead heartbeats may lock it first;
// then the next Beat tries again.
func (h *Heartbeat) make() *os.File {
	path := filepath.Join(h.folder, heartbeatPrefix+NewID()+"-"+h.host)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|openFlags, 0o600)
	if err != nil {
		return nil
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil || !stillThere(f, path) {
		f.Close()
		_ = os.Remove(path)
		h.beaten = time.Time{}
		return nil
	}
	return f
}

// Close ends the heartbeat.
func (h *Heartbeat) Close() error {
	if h == nil || h.f == nil {
		return nil
	}
	err := os.Remove(h.f.Name())
	if errors.Is(err, os.ErrNotExist) { // somebody has removed the file or the folder
		err = nil
	}
	if err = errors.Join(err, h.f.Close()); err != nil {
		return fmt.Errorf("journal folder %s: remove the heartbeat: %w", h.folder, err)
	}
	h.f = nil
	return nil
}

// hostInName returns a host name in the form in which file names have it.
func hostInName(hostname string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, hostname)
	return name[:min(len(name), maxHostBytes)]
}

// Pulse is a heartbeat as other processes see it.
type Pulse struct {
	path  string
	Host  string    // the process's name for its host
	Beat  time.Time // when the loop last turned, at most HeartbeatEvery too early
	Alive bool      // the process lives
}

// heartbeats returns the heartbeats in the folder, of living and dead processes.
func heartbeats(dir string) []Pulse {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var all []Pulse
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), heartbeatPrefix)
		_, host, named := strings.Cut(rest, "-")
		info, err := e.Info()
		if ok && named && err == nil && info.Mode().IsRegular() {
			all = append(all, Pulse{path: filepath.Join(dir, e.Name()), Host: host, Beat: info.ModTime()})
		}
	}
	return all
}

// remove deletes the heartbeat file if its process is dead.
func (p *Pulse) remove() {
	f, err := os.OpenFile(p.path, os.O_RDWR|openFlags, 0)
	if err != nil {
		return
	}
	defer f.Close()
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil && stillThere(f, p.path) {
		_ = os.Remove(p.path) // if this fails, the next start tries again
	}
}

// Pulses returns the heartbeats of the folder's shippers. If some are from the host hostname, it
// leaves out the rest: hosts may share a folder, and each checks its own shippers.
func (v *View) Pulses(hostname string) []Pulse {
	all := heartbeats(v.path)
	host := hostInName(hostname)
	var here []Pulse
	for i := range all {
		all[i].Alive = lockedElsewhere(all[i].path)
		if all[i].Host == host {
			here = append(here, all[i])
		}
	}
	if len(here) > 0 {
		return here
	}
	return all
}

// lockedElsewhere reports whether somebody holds the lock on the file at path.
func lockedElsewhere(path string) bool {
	f, err := os.OpenFile(path, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) != nil
}
