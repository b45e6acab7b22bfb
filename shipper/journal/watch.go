package journal

// This file is the watcher of a file that somebody else writes. It uses inotify where that works,
// and always polls: some file systems send no events, and inotify does not report that the last
// writer has gone or that the path names another file.

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	pollBusy  = 100 * time.Millisecond
	pollQuiet = time.Second

	// watchPause is how long events may accumulate. A command that writes line by line causes one
	// event per line.
	watchPause = 5 * time.Millisecond
)

// watch runs until stop is closed. Whenever it wakes, it calls poll, which looks at the file and
// rings the bell if there is something new.
func (g *grownFile) watch(stop <-chan struct{}, poll func() fileState) {
	if w := g.watcher(); w != nil {
		defer w.Close()
		g.watchWith(stop, poll, w.Events, w.Errors)
	} else {
		g.watchWith(stop, poll, nil, nil)
	}
}

// watchWith wakes at each event and when it is time to poll. Without inotify the channels are nil.
func (g *grownFile) watchWith(stop <-chan struct{}, poll func() fileState, events <-chan fsnotify.Event, errs <-chan error) {
	var before fileState
	wait := pollBusy
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-stop:
			return
		case _, ok := <-events:
			if !ok {
				events = nil
			}
		case _, ok := <-errs: // for example, events were lost: a look makes up for them
			if !ok {
				errs = nil
			}
		case <-timer.C:
		}
		wait = min(2*wait, pollQuiet)
		now := poll()
		if now.replaced != before.replaced {
			g.bell.ring()
		}
		if now != before {
			before, wait = now, pollBusy
		}
		select {
		case <-stop:
			return
		case <-time.After(watchPause):
		}
		timer.Reset(wait)
	}
}

// watcher returns nil if the file cannot be watched, because there is no inotify or the user's
// limit of watches is reached.
func (g *grownFile) watcher() *fsnotify.Watcher {
	if g.f == nil {
		return nil
	}
	path := g.f.Name() // not g.path: a followed file may have been renamed before it was opened
	if g.path == "" {
		path = fmt.Sprintf("/proc/self/fd/%d", g.f.Fd()) // it is a memfd
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

// fileState is what a poll compares with the poll before it.
type fileState struct {
	seen           int64
	over, replaced bool // replaced: the path of a followed file names another file by now
}

// bell wakes readers and never blocks the goroutine that rings it. A channel of capacity 1 keeps
// the ring that a busy reader has not received yet, so a reader that looks after receiving it
// misses nothing.
type bell struct {
	main  chan struct{}
	extra atomic.Pointer[[]chan struct{}] // replaced as a whole, so that ring takes no lock
	mu    sync.Mutex                      // guards replacing extra, for subscribers' goroutines
}

func (b *bell) ring() {
	select {
	case b.main <- struct{}{}:
	default:
	}
	if extra := b.extra.Load(); extra != nil {
		for _, c := range *extra {
			select {
			case c <- struct{}{}:
			default:
			}
		}
	}
}

func (b *bell) subscribe() (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	b.change(func(all []chan struct{}) []chan struct{} { return append(all, c) })
	return c, func() {
		b.change(func(all []chan struct{}) []chan struct{} {
			return slices.DeleteFunc(all, func(x chan struct{}) bool { return x == c })
		})
	}
}

func (b *bell) change(f func([]chan struct{}) []chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []chan struct{}
	if p := b.extra.Load(); p != nil {
		all = slices.Clone(*p)
	}
	all = f(all)
	b.extra.Store(&all)
}
