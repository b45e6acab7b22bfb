package journal

// The heartbeat of a shipper: a locked file in the journal folder, whose time of change is that of
// the latest turn of the shipper's loop. It tells from outside that the shipper lives and is not
// stuck, whatever CloudWatch does, and whether it holds an input or not.

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

	// HeartbeatEvery is how often a heartbeat is renewed at most.
	HeartbeatEvery = 5 * time.Second

	maxHostBytes = 64 // of a host's name in a heartbeat's
)

// Heartbeat is that of one loop. It belongs to the goroutine of that loop. A nil one, as of a
// folder in memory, does nothing.
type Heartbeat struct {
	folder string
	host   string
	f      *os.File // nil: it could not be made yet
	beaten time.Time
}

// Heartbeat begins a heartbeat of this process, and removes those of dead ones. Where the disk has
// no room for it now, Beat tries again. The result is nil in memory.
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

// Beat says that the loop turns. Where the last one is not HeartbeatEvery ago, it does nothing. It
// changes the file's time alone, which a full disk does not prevent.
func (h *Heartbeat) Beat(now time.Time) {
	if h == nil || now.Sub(h.beaten) < HeartbeatEvery {
		return
	}
	h.beaten = now
	if h.f != nil && !stillThere(h.f, h.f.Name()) { // somebody has removed it
		h.f.Close()
		h.f = nil
	}
	if h.f == nil {
		h.f = h.make()
		return
	}
	tv := unix.NsecToTimeval(now.UnixNano())
	_ = unix.Futimes(int(h.f.Fd()), []unix.Timeval{tv, tv}) // what cannot be written now is tried again, or shows that it cannot be
}

// make makes the file and locks it. A start that clears away what is dead may be faster with the
// lock; then there is another try.
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
	if errors.Is(err, os.ErrNotExist) { // the folder was removed
		err = nil
	}
	if err = errors.Join(err, h.f.Close()); err != nil {
		return fmt.Errorf("journal folder %s: end the heartbeat: %w", h.folder, err)
	}
	h.f = nil
	return nil
}

// hostInName is a host's name as it stands in a file's.
func hostInName(hostname string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, hostname)
	return name[:min(len(name), maxHostBytes)]
}

// Pulse is a heartbeat as it is seen from outside.
type Pulse struct {
	path string
	Host string // as the process calls it
	// Beat is when the loop turned last, at most HeartbeatEvery too early.
	Beat time.Time
	// Alive says that the process lives.
	Alive bool
}

// heartbeats are those in the folder, of the living and the dead.
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

// remove removes the file of a dead process.
func (p *Pulse) remove() {
	f, err := os.OpenFile(p.path, os.O_RDWR|openFlags, 0)
	if err != nil {
		return
	}
	defer f.Close()
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil && stillThere(f, p.path) {
		_ = os.Remove(p.path) // else the next start does it
	}
}

// Pulses are the heartbeats of the folder's shippers. Where some are of this host, the others'
// are left out: a folder may be shared, and each host answers for its own.
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

// lockedElsewhere reports whether another open file has the lock of the file at path.
func lockedElsewhere(path string) bool {
	f, err := os.OpenFile(path, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) != nil
}
