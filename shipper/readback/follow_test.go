package readback

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"perstack-shipper/shipper/cloudwatch"
)

// flow is a log group that gets new events while it is read. It shows each event late, by a delay
// of its own.
type flow struct {
	mu     sync.Mutex
	events []flowing // by time
	calls  int
	rude   bool  // throttle every third call, and serve each page twice
	fail   error // of every call
}

type flowing struct {
	cloudwatch.Event
	visible time.Time
}

func (f *flow) put(stream string, at int64, message string, delay time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, flowing{cloudwatch.Event{Stream: stream, Time: at, Message: message}, time.Now().Add(delay)})
	slices.SortStableFunc(f.events, func(a, b flowing) int { return cmp.Compare(a.Time, b.Time) })
}

func (f *flow) EventsPage(_ context.Context, stream string, of cloudwatch.Selection, token string) ([]cloudwatch.Event, string, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.calls++; f.rude && f.calls%3 == 0 {
		return nil, "", false, apiError("ThrottlingException")
	}
	if f.fail != nil {
		return nil, "", false, f.fail
	}
	var all []cloudwatch.Event
	for _, ev := range f.events {
		if ev.Stream == stream && ev.Time >= of.From && !ev.visible.After(time.Now()) {
			all = append(all, ev.Event)
		}
	}
	if len(all) == 0 && !slices.ContainsFunc(f.events, func(ev flowing) bool { return ev.Stream == stream }) {
		return nil, "", false, apiError("ResourceNotFoundException")
	}
	var at, times int
	fmt.Sscanf(token, "%d-%d", &at, &times)
	to := min(at+50, len(all))
	page := all[min(at, to):to]
	if f.rude && times == 0 {
		return page, fmt.Sprintf("%d-1", at), false, nil
	}
	return page, fmt.Sprintf("%d-0", to), to == len(all), nil
}

func (f *flow) StreamsPage(context.Context, string, string) ([]string, string, error) {
	return nil, "", nil
}

func (f *flow) FilterPage(context.Context, string, string, cloudwatch.Selection, string) ([]cloudwatch.Event, string, error) {
	return nil, "", nil
}

// arrivals is a writer that records when each line came.
type arrivals struct {
	lines []string
	at    []time.Time
	rest  []byte
}

func (a *arrivals) Write(b []byte) (int, error) {
	a.rest = append(a.rest, b...)
	for {
		line, rest, found := bytes.Cut(a.rest, []byte("\n"))
		if !found {
			return len(b), nil
		}
		a.lines, a.at, a.rest = append(a.lines, string(line)), append(a.at, time.Now()), slices.Clone(rest)
	}
}

// FollowLines prints each line once, in order, and within three seconds of when CloudWatch shows
// it, although the endpoint throttles, repeats pages and shows events late and in any order. It
// ends with the last seal.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &flow{rude: true}
		const lines = 200
		visible := make([]time.Time, lines+1)
		go func() {
			time.Sleep(5 * time.Second) // the job begins after FollowLines
			for seq := 1; seq <= lines; seq++ {
				at := time.Now().UnixMilli() - int64(seq*37%1200) // times go back by up to 1.2 s
				line := fmt.Sprintf(`{"type":"t","n":%d,"jobId":"j"}`, seq)
				delay := time.Duration(seq*61%2000) * time.Millisecond
				messages := []string{event("a", seq, line)}
				if seq%20 == 0 {
					messages = parts("a", seq, line, 9)
				}
				for i, m := range messages {
					f.put("j", at, m, delay+time.Duration(i)*100*time.Millisecond)
				}
				// It can be printed once all lines before it are visible.
				visible[seq] = time.Now().Add(delay + time.Duration(len(messages)-1)*100*time.Millisecond)
				if visible[seq].Before(visible[seq-1]) {
					visible[seq] = visible[seq-1]
				}
				time.Sleep(50 * time.Millisecond)
				if seq == 100 {
					time.Sleep(2 * time.Minute) // the model thinks
				}
			}
			f.put("j", time.Now().UnixMilli(), seal("a", lines, 0, true), time.Second)
		}()
		var got arrivals
		waited := 0
		report, err := FollowLines(t.Context(), f, Query{Job: "j"}, Following{Waiting: func() { waited++ }}, &got)
		if err != nil || report.Lines != lines || !report.Ended || waited != 1 {
			t.Fatalf("%+v, %v, waited %d times", report, err, waited)
		}
		var worst time.Duration
		for i, line := range got.lines {
			if want := fmt.Sprintf(`{"type":"t","n":%d,"jobId":"j"}`, i+1); line != want {
				t.Fatalf("line %d is %s", i+1, line)
			}
			worst = max(worst, got.at[i].Sub(visible[i+1]))
		}
		if t.Logf("the latest came after %v", worst); worst > 3*time.Second || len(got.lines) != lines {
			t.Errorf("%d lines; the latest came %v after it could be read", len(got.lines), worst)
		}
	})
}

// FollowLines prints several inputs interleaved, although one opens late and its lines have old
// times.
func TestFollowInputs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &flow{}
		start := time.Now()
		go func() {
			for seq := 1; seq <= 20; seq++ {
				f.put("j", time.Now().UnixMilli(), event("a", seq, fmt.Sprintf(`{"n":"a%d","jobId":"j"}`, seq)), 0)
				if seq == 6 {
					f.put("j", time.Now().UnixMilli(), `{"shipper":{"record":"open","input":"b"},"type":"shipper.open"}`, 0)
				}
				if seq > 5 {
					f.put("j", start.UnixMilli()+int64(seq), event("b", seq-5, fmt.Sprintf(`{"n":"b%d","jobId":"j"}`, seq-5)), 0)
				}
				time.Sleep(3 * time.Second)
			}
			f.put("j", time.Now().UnixMilli(), seal("a", 20, 0, true), 0)
			f.put("j", time.Now().UnixMilli(), seal("b", 15, 0, true), 0)
		}()
		var got arrivals
		report, err := FollowLines(t.Context(), f, Query{Job: "j"}, Following{}, &got)
		if err != nil || report.Lines != 35 || report.Inputs != 2 {
			t.Fatalf("%+v, %v\n%s", report, err, strings.Join(got.lines, "\n"))
		}
		for _, input := range []string{"a", "b"} {
			n := 0
			for _, line := range got.lines {
				if strings.HasPrefix(line, `{"n":"`+input) {
					if n++; line != fmt.Sprintf(`{"n":"%s%d","jobId":"j"}`, input, n) {
						t.Fatalf("line %d of %s is %s", n, input, line)
					}
				}
			}
		}
	})
}

// A missing line holds up the others for a while, and the error at the end names it.
func TestFollowOverAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &flow{}
		for _, seq := range []int{1, 2, 4, 5} {
			f.put("j", int64(1000+seq), event("a", seq, fmt.Sprintf(`{"n":%d,"jobId":"j"}`, seq)), 0)
		}
		go func() {
			time.Sleep(time.Minute)
			f.put("j", 1006, parts("a", 6, `{"n":6,"jobId":"j"}`, 5)[0], 0)
			f.put("j", time.Now().UnixMilli(), strings.Replace(seal("a", 6, 0, true), `"ended"`, `"streams":["j"],"ended"`, 1), 0)
		}()
		var got arrivals
		began := time.Now()
		report, err := FollowLines(t.Context(), f, Query{Job: "j"}, Following{}, &got)
		damage, ok := errors.AsType[*DamageError](err)
		if !ok || damage.Total != 1 || damage.Faults[0].Seq != 6 || len(got.lines) != 4 || !report.Ended {
			t.Fatalf("%+v, %v\n%s", report, err, strings.Join(got.lines, "\n"))
		}
		if waited := got.at[2].Sub(began); waited < 10*time.Second || waited > 15*time.Second {
			t.Errorf("line 4 came after %v", waited)
		}
	})
}

// A call that keeps failing is reported at most once a minute and retried; one that is denied ends
// FollowLines.
func TestFollowThroughAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &flow{fail: apiError("ServiceUnavailableException")}
		f.put("j", 1000, event("a", 1, `{"jobId":"j"}`), 0)
		f.put("j", 1001, seal("a", 1, 0, true), 0)
		go func() {
			time.Sleep(10 * time.Minute)
			f.mu.Lock()
			defer f.mu.Unlock()
			f.fail = nil
		}()
		var got arrivals
		said := 0
		if _, err := FollowLines(t.Context(), f, Query{Job: "j"}, Following{Trouble: func(error) { said++ }}, &got); err != nil || len(got.lines) != 1 {
			t.Errorf("%v, %d lines", err, len(got.lines))
		}
		if said < 3 || said > 10 {
			t.Errorf("Trouble was called %d times in ten minutes", said)
		}
		f.fail = apiError("AccessDeniedException")
		if _, err := FollowLines(t.Context(), f, Query{Job: "j"}, Following{}, &got); err == nil {
			t.Error("no error, although access is denied")
		}
	})
}
