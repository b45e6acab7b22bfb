package journal

import (
	"slices"
	"sync"
	"sync/atomic"
)

// bell wakes readers without ever blocking whoever rings it. A channel of capacity 1 holds the ring
// that a busy reader has not taken yet: a reader that looks after taking it misses nothing.
type bell struct {
	main  chan struct{}
	extra atomic.Pointer[[]chan struct{}] // replaced as a whole, so that ring takes no lock
	mu    sync.Mutex                      // guards the replacing of extra: subscribers come and go from their own goroutines
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
