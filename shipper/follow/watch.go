package follow

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// pollQuiet is how often to look if the kernel reports changes. pollBusy is how often to look
	// if it does not, or if a change is expected soon that it does not report.
	pollQuiet, pollBusy = time.Second, 250 * time.Millisecond
	// pollRoom is how often to look whether there is room for waiting files.
	pollRoom = 50 * time.Millisecond
	// gather is the pause between a change and the look, so that one look covers several changes.
	// It is longer if looks take long.
	gather = 10 * time.Millisecond
	// lookShare is how many times longer the pause before a look is than the look itself.
	lookShare = 5
)

// watcher reports changes in folders, if the file system does.
type watcher struct {
	notify *fsnotify.Watcher // nil: there is no inotify, or this user has used up its watches
	whole  bool              // every folder is watched
	took   time.Duration     // how long the latest look took
}

func newWatcher() *watcher {
	w := &watcher{}
	if notify, err := fsnotify.NewWatcher(); err == nil {
		w.notify = notify
	}
	return w
}

func (w *watcher) close() {
	if w.notify != nil {
		w.notify.Close()
	}
}

// cover watches dirs, which may be created, removed and created again at any time.
func (w *watcher) cover(dirs []string) {
	w.whole = w.notify != nil
	if w.notify == nil {
		return
	}
	watched := w.notify.WatchList()
	for _, dir := range dirs {
		if !slices.Contains(watched, dir) && w.notify.Add(dir) != nil {
			w.whole = false
		}
	}
}

// folders returns the folders in which files to follow may appear.
func (s *Set) folders() []string {
	var dirs []string
	for _, path := range s.o.Paths {
		dir := filepath.Dir(path)
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			dir = path
		}
		if !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// sleep returns when it is time to look, or when stop ends. It returns false if alive has ended.
func (s *Set) sleep(stop, alive context.Context) bool {
	s.watch.cover(s.folders())
	var events <-chan fsnotify.Event
	var errs <-chan error
	if s.watch.notify != nil {
		events, errs = s.watch.notify.Events, s.watch.notify.Errors
	}
	due := time.Now().Add(s.wait())
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	for {
		soon := false
		select {
		case <-stop.Done():
			return true
		case <-alive.Done():
			return false
		case <-timer.C:
			return true
		case e, ok := <-events:
			if !ok {
				events = nil
			}
			soon = ok && s.concerns(e)
		case _, ok := <-errs: // events were lost; a look makes up for them
			if !ok {
				errs = nil
			}
			soon = ok
		}
		if next := time.Now().Add(max(gather, lookShare*s.watch.took)); soon && next.Before(due) {
			due = next
			timer.Reset(time.Until(due))
		}
	}
}

// wait returns how long to wait for the kernel to report a change.
func (s *Set) wait() time.Duration {
	d := pollQuiet
	switch {
	case s.refused:
		d = pollRoom
	case !s.watch.whole:
		d = pollBusy
	}
	for _, f := range s.files {
		if f.undecided {
			d = min(d, pollRoom)
		}
		if !f.present {
			d = min(d, pollBusy)
		}
	}
	// If less is left, a run is under way.
	if left := time.Until(s.came.Add(s.o.UntilIdle)); s.o.UntilIdle > 0 && left > -pollRoom {
		d = min(d, left)
	}
	return max(d, lookShare*s.watch.took, time.Millisecond)
}

// concerns reports whether a look may find the change. If a followed file grows, its journal
// notices.
func (s *Set) concerns(e fsnotify.Event) bool {
	switch {
	case !e.Has(fsnotify.Create) && !e.Has(fsnotify.Rename) && !e.Has(fsnotify.Remove) && !e.Has(fsnotify.Write):
		return false
	case e.Has(fsnotify.Write):
		return slices.ContainsFunc(s.files, func(f *file) bool { return f.in == nil && f.path == e.Name })
	}
	return s.wants(e.Name)
}
