package readback

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"perstack-shipper/shipper/cloudwatch"
)

const line = `{"jobId":"j"}`

// A call that fails is retried for about a minute.
func TestRetries(t *testing.T) {
	for _, c := range []struct {
		name    string
		errors  []string // of the first calls; later calls get the last one
		action  string
		want    string
		again   string // class of the final error, or ""
		atLeast time.Duration
		atMost  time.Duration
		invalid bool
	}{
		{name: "passes", action: "GetLogEvents", errors: []string{"ThrottlingException", "ServiceUnavailableException", "InternalFailure", "SomethingNew", ""}, want: line + "\n", atMost: 10 * time.Second},
		{name: "new credentials", action: "GetLogEvents", errors: []string{"ExpiredTokenException", ""}, want: line + "\n", atMost: 10 * time.Second, invalid: true},
		{name: "stays", action: "GetLogEvents", errors: []string{"ThrottlingException"}, again: "throttled", atLeast: 30 * time.Second, atMost: 80 * time.Second},
		{name: "stays in a list", action: "DescribeLogStreams", errors: []string{"ServiceUnavailableException"}, again: "retry", atLeast: 30 * time.Second, atMost: 80 * time.Second},
		{name: "is not allowed", action: "GetLogEvents", errors: []string{"AccessDeniedException"}, again: "denied"},
		{name: "no such group", action: "FilterLogEvents", errors: []string{"ResourceNotFoundException"}, again: "missing"},
		{name: "refused", action: "FilterLogEvents", errors: []string{"InvalidParameterException"}, again: "refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &group{}
				g.put("j/r", 1, event("i", 1, line))
				n := 0
				g.fail = func(action, stream string) error {
					if action != c.action {
						return nil
					}
					code := c.errors[min(n, len(c.errors)-1)]
					n++
					if code == "" {
						return nil
					}
					return apiError(code)
				}
				q := Query{Job: "j", StreamTemplate: "{jobId}/{runId}"}
				if c.action == "FilterLogEvents" {
					q.Job = "gone"
				}
				start := time.Now()
				var out strings.Builder
				_, err := Lines(t.Context(), g, q, &out)
				took := time.Since(start)
				if out.String() != c.want || took > c.atMost || took < c.atLeast {
					t.Errorf("printed %q after %v", out.String(), took)
				}
				if (g.invalid > 0) != c.invalid {
					t.Errorf("credentials were invalidated %d times", g.invalid)
				}
				call, isCall := errors.AsType[*CallError](err)
				switch {
				case c.again == "" && err != nil:
					t.Error(err)
				case c.again != "" && (!isCall || call.Action != c.action || cloudwatch.Classify(err).String() != c.again):
					t.Errorf("error %v", err)
				case isCall && c.action == "GetLogEvents" && !strings.HasPrefix(err.Error(), `GetLogEvents of log stream "j/r": `):
					t.Errorf("error %v", err)
				}
			})
		})
	}
}

func TestRetryStopsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stopped := errors.New("stopped")
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		g := &group{fail: func(string, string) error { return apiError("ThrottlingException") }}
		time.AfterFunc(5*time.Second, func() { cancel(stopped) })
		start := time.Now()
		if _, err := Lines(ctx, g, Query{Job: "j"}, nil); !errors.Is(err, stopped) || time.Since(start) != 5*time.Second {
			t.Errorf("error %v after %v", err, time.Since(start))
		}
	})
}

// New events take time to become readable. With Wait, Lines reads again until all inputs have
// ended.
func TestWait(t *testing.T) {
	for _, c := range []struct {
		name  string
		wait  time.Duration
		late  map[time.Duration]string // events by the time at which they become readable
		want  string
		err   error
		ended bool
		took  [2]time.Duration
	}{
		{name: "not at all", late: map[time.Duration]string{0: event("i", 1, line), time.Second: event("i", 2, line)}, want: line + "\n"},
		{name: "the end is there", wait: time.Minute, late: map[time.Duration]string{0: event("i", 1, line), 1: seal("i", 1, 0, true)}, want: line + "\n", ended: true, took: [2]time.Duration{0, time.Second}},
		{
			name: "until the end", wait: time.Minute, ended: true, took: [2]time.Duration{20 * time.Second, 26 * time.Second},
			late: map[time.Duration]string{2 * time.Second: event("i", 1, line), 10 * time.Second: event("i", 2, line), 15 * time.Second: seal("i", 1, 0, false), 20 * time.Second: seal("i", 2, 0, true)},
			want: line + "\n" + line + "\n",
		},
		{name: "no end comes", wait: 30 * time.Second, late: map[time.Duration]string{0: event("i", 1, line), 29 * time.Second: event("i", 2, line)}, want: line + "\n" + line + "\n", took: [2]time.Duration{30 * time.Second, 30 * time.Second}},
		{name: "nothing comes", wait: 30 * time.Second, err: ErrNothing, took: [2]time.Duration{30 * time.Second, 30 * time.Second}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &group{}
				start := time.Now()
				g.before = func(stream string, page int) {
					for when, message := range c.late {
						if time.Since(start) >= when {
							g.put("j", 1, message)
							delete(c.late, when)
						}
					}
				}
				var out strings.Builder
				report, err := Lines(t.Context(), g, Query{Job: "j", Wait: c.wait}, &out)
				took := time.Since(start)
				if out.String() != c.want || !errors.Is(err, c.err) || report.Ended != c.ended || took < c.took[0] || took > c.took[1] {
					t.Errorf("printed %q after %v, ended %v, error %v", out.String(), took, report.Ended, err)
				}
			})
		})
	}
}

func TestWaitStopsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
		defer cancel()
		start := time.Now()
		if _, err := Lines(ctx, &group{}, Query{Job: "j", Wait: time.Hour}, nil); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 7*time.Second {
			t.Errorf("error %v after %v", err, time.Since(start))
		}
	})
}
