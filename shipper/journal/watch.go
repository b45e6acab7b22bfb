package journal

// The watcher of a file that somebody else writes: inotify where it works, and polling behind it, for file systems that do not tell
// (and for what inotify does not say: that the last writer is gone, that the path names another file).

import (
	"fmt"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	pollBusy  = 100 * time.Millisecond
	pollQuiet = time.Second

	// watchPause is how long events are left to gather: a child that writes line by line makes one event a line.
	watchPause = 5 * time.Millisecond
)

// watch runs until Close. Whatever wakes it, it looks; a look is an fstat and rings the bell if there is something new.
func (j *Journal) watch() {
	if w := j.watcher(); w != nil {
		defer w.Close()
		j.watchWith(w.Events, w.Errors)
	} else {
		j.watchWith(nil, nil)
	}
}

// watchWith wakes at each event and when it is time to poll; without inotify the channels are nil.
func (j *Journal) watchWith(events <-chan fsnotify.Event, errs <-chan error) {
	var before grownState
	wait := pollBusy
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-j.stop:
			return
		case _, ok := <-events:
			if !ok {
				events = nil
			}
		case _, ok := <-errs: // events were lost, say: a look makes up for them
			if !ok {
				errs = nil
			}
		case <-timer.C:
		}
		wait = min(2*wait, pollQuiet)
		now := j.grown.poll()
		if now.replaced = j.Replaced(); now.replaced != before.replaced {
			j.bell.ring()
		}
		if now != before {
			before, wait = now, pollBusy
		}
		if !timer.Stop() {
			select {
			case <-timer.C:
			default:
			}
		}
		if !j.pause(watchPause) {
			return
		}
		timer.Reset(wait)
	}
}

func (j *Journal) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-j.stop:
		return false
	case <-timer.C:
		return true
	}
}

// watcher is nil where files cannot be watched: no inotify, or none left for this user.
func (j *Journal) watcher() *fsnotify.Watcher {
	if j.grown.f == nil {
		return nil
	}
	path := j.grown.f.Name() // a followed file may have another name than its path by now
	if j.st.dir() == "" && j.kind == Child {
		path = fmt.Sprintf("/proc/self/fd/%d", j.grown.f.Fd()) // of a memfd
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil
	}
	if err := w.Add(path); err != nil {
		w.Close()
		return nil
	}
	return w
}

// grownState is what a poll compares with the poll before it.
type grownState struct {
	seen           int64
	over, replaced bool
}

func (g *growing) poll() grownState {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.look()
	g.probeWriter()
	return grownState{seen: g.seen, over: g.over}
}
