//go:build linux

package chaos

// This file is the CloudWatch of a campaign: an embedded endpoint whose calls fail as the current
// weather says. It records all puts, and groups and streams are deleted while the shipper uses
// them.

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"perstack-shipper/shipper/cwlocal"
	"perstack-shipper/shipper/cwlocal/localtest"
	"perstack-shipper/shipper/testkit"
)

// group is the log group of every campaign.
const group = "/perstack/chaos"

// poison is text that this CloudWatch refuses in an event, whatever else is in the batch.
const poison = "!!poison!!"

// kind is a kind of fault.
type kind string

const (
	throttle     kind = "throttled"
	fail500      kind = "500"
	fail503      kind = "503"
	fail500After kind = "500 after acceptance"
	resetBefore  kind = "reset before"
	resetAfter   kind = "reset after acceptance"
	late         kind = "late answer"
	hang         kind = "hang"
	cut          kind = "cut answer"
	expired      kind = "expired token"
	denied       kind = "denied"
	dropped      kind = "rejectedLogEventsInfo"
	refusedAll   kind = "refused whole"
	poisoned     kind = "refused by content"
	deletion     kind = "deleted"
)

// weather gives the chance of each fault in percent. The rest of the calls succeed.
type weather []struct {
	kind   kind
	chance int
}

var (
	calm   = weather{}
	breezy = weather{{throttle, 4}, {fail500, 2}, {fail503, 2}, {fail500After, 2}, {resetBefore, 3}, {resetAfter, 3}, {late, 5}, {cut, 2}, {expired, 2}, {dropped, 5}}
	stormy = weather{{throttle, 15}, {fail500, 8}, {fail503, 5}, {fail500After, 8}, {resetBefore, 10}, {resetAfter, 15}, {late, 10}, {hang, 3}, {cut, 6}, {expired, 5}, {denied, 2}, {dropped, 5}}
	outage = weather{{resetBefore, 60}, {fail503, 40}}
	silent = weather{{hang, 100}}
	wrong  = weather{{refusedAll, 100}}
	twice  = weather{{resetAfter, 50}, {fail500After, 20}, {cut, 20}}
)

var weathers = []weather{calm, calm, breezy, breezy, stormy, stormy, outage, silent, wrong, twice}

// attempt is a PutLogEvents call, whatever became of it.
type attempt struct {
	stream string
	body   []byte
}

// endpoint is the CloudWatch of one campaign.
type endpoint struct {
	server *cwlocal.Server
	next   http.Handler // the server behind the gate
	url    string
	tally  *tally
	poison bool // refuse events that contain poison

	// gate is held for reading by every request and for writing by a deletion, so that a deletion
	// knows exactly what it deletes.
	gate sync.RWMutex

	mu       sync.Mutex // guards the fields below: each request has its own goroutine
	rng      *rand.Rand
	weather  weather
	attempts []attempt
	deleted  map[string][][]cwlocal.Event // by stream: its content each time it was deleted
	onPut    func()                       // called once, by the next put: a moment to kill a process
	// fickle are the streams in which events were refused or dropped and accepted later, after
	// their neighbours.
	fickle map[string]bool
}

func newEndpoint(t testing.TB, seed, n uint64, tally *tally) *endpoint {
	e := &endpoint{tally: tally, rng: rand.New(rand.NewPCG(seed, n)), deleted: map[string][][]cwlocal.Event{}, fickle: map[string]bool{}}
	w := testkit.New(t, group, testkit.Options{
		Options: cwlocal.Options{Intercept: e.intercept},
		Front:   func(next http.Handler) http.Handler { e.next = next; return e },
	})
	e.server, e.url = w.Server, w.URL
	return e
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.gate.RLock()
	defer e.gate.RUnlock()
	e.next.ServeHTTP(w, r)
}

// set changes the weather.
func (e *endpoint) set(w weather) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.weather = w
}

// atNextPut makes the next put call f before it is carried out. nil cancels that.
func (e *endpoint) atNextPut(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.onPut = f
}

// now returns how many puts have arrived.
func (e *endpoint) now() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.attempts)
}

func (e *endpoint) intercept(c *cwlocal.Call) cwlocal.Fault {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c.Action == "PutLogEvents" {
		e.attempts = append(e.attempts, attempt{c.Stream, c.Body})
		e.tally.put(c.Compressed)
		if f := e.onPut; f != nil {
			e.onPut = nil
			f()
		}
	}
	roll := e.rng.IntN(100)
	for _, w := range e.weather {
		if roll -= w.chance; roll < 0 {
			if w.kind == dropped && (c.Action != "PutLogEvents" || c.Events == 0) {
				break
			}
			e.tally.fault(w.kind)
			return e.fault(w.kind, c)
		}
	}
	if e.poison && bytes.Contains(c.Body, []byte(poison)) {
		e.tally.fault(poisoned)
		return cwlocal.Fault{Code: "InvalidParameterException", Message: "Log event cannot be accepted"}
	}
	return cwlocal.Fault{}
}

// fault returns the fault of a kind for a call. e.mu must be held.
func (e *endpoint) fault(k kind, c *cwlocal.Call) cwlocal.Fault {
	some := time.Duration(e.rng.IntN(100)) * time.Millisecond
	refused := e.poison && bytes.Contains(c.Body, []byte(poison))
	after := func(f cwlocal.Fault) cwlocal.Fault {
		if refused { // a put of poison must never be carried out
			return cwlocal.Fault{Code: "InvalidParameterException", Message: "Log event cannot be accepted"}
		}
		return f
	}
	switch k {
	case throttle:
		return localtest.Throttle()
	case fail500:
		return cwlocal.Fault{Status: 500, Code: "InternalFailure"}
	case fail503:
		return localtest.Unavailable()
	case fail500After:
		return after(cwlocal.Fault{Status: 500, Code: "InternalFailure", After: true})
	case resetBefore:
		return cwlocal.Fault{ResetBefore: true}
	case resetAfter:
		return after(cwlocal.Fault{ResetAfter: true, DelayAfter: some / 4})
	case late:
		return after(cwlocal.Fault{Delay: some / 2, DelayAfter: some / 2})
	case hang:
		return after(cwlocal.Fault{Hang: true, After: e.rng.IntN(2) == 0})
	case cut:
		return after(cwlocal.Fault{CutAnswer: true})
	case expired:
		return cwlocal.Fault{Code: "ExpiredTokenException", Message: "The security token included in the request is expired"}
	case denied:
		return cwlocal.Fault{Code: "AccessDeniedException", Message: "User is not authorized to perform: logs:" + c.Action}
	case refusedAll:
		e.fickle[c.Stream] = true
		return cwlocal.Fault{Code: "InvalidParameterException", Message: "Not today"}
	case dropped:
		e.fickle[c.Stream] = true
		n := 1 + e.rng.IntN(c.Events)
		if e.rng.IntN(2) == 0 {
			n = c.Events - n
			return after(cwlocal.Fault{Rejected: &cwlocal.Rejected{TooNewStart: &n}})
		}
		return after(cwlocal.Fault{Rejected: &cwlocal.Rejected{TooOldEnd: &n}})
	}
	panic(fmt.Sprintf("unknown fault %q", k))
}

// delete deletes the group or one of its streams, and keeps a copy of the content. If a request is
// under way, it does nothing and reports false.
func (e *endpoint) delete(whole bool, pick int) bool {
	if !e.gate.TryLock() {
		return false
	}
	defer e.gate.Unlock()
	names := e.server.Streams(group)
	if len(names) == 0 {
		return false
	}
	if !whole {
		names = names[pick%len(names):][:1]
	}
	for _, name := range names {
		e.deleted[name] = append(e.deleted[name], e.server.Events(group, name))
	}
	if whole {
		e.server.DeleteGroup(group)
	} else {
		e.server.DeleteStream(group, names[0])
	}
	e.tally.fault(deletion)
	return true
}

// held returns everything that was ever accepted: for each stream and each time that it was
// created, its events in reading order.
func (e *endpoint) held() map[string][][]cwlocal.Event {
	all := map[string][][]cwlocal.Event{}
	for name, times := range e.deleted {
		all[name] = append(all[name], times...)
	}
	for _, name := range e.server.Streams(group) {
		all[name] = append(all[name], e.server.Events(group, name))
	}
	return all
}

// journalIn returns the journal folder of a campaign in dir.
func journalIn(dir string) string { return filepath.Join(dir, "journal") }
