package shipper

import (
	"errors"
	"testing"
	"time"
)

// answers is a [deliveryState] with fixed answers.
type answers struct {
	accepted time.Time
	noHope   bool
}

func (a answers) Progress() time.Time { return a.accepted }
func (a answers) Hopeless() bool      { return a.noHope }
func (a answers) Cause() string       { return "the cause" }

func TestLifetime(t *testing.T) {
	began := time.Now()
	at := func(s int) time.Time { return began.Add(time.Duration(s) * time.Second) }
	done, growing := remaining{any: true}, remaining{any: true, grows: true}
	type look struct {
		at              int // seconds after the beginning
		primary, others remaining
		more            bool
		d               answers
		want            string // "", "done", "gave up" or "hopeless"
	}
	for name, looks := range map[string][]look{
		"nothing":                        {{want: "done"}},
		"nothing yet":                    {{more: true}, {at: 1000, more: true}, {at: 1001, want: "done"}},
		"a primary input":                {{primary: growing}, {at: 1000, primary: growing}, {at: 1001, primary: done}, {at: 1002, want: "done"}},
		"never accepted":                 {{primary: done}, {at: 99, primary: done}, {at: 100, primary: done, want: "gave up"}},
		"from the end of the input":      {{primary: growing}, {at: 1000, primary: done}, {at: 1099, primary: done}, {at: 1100, primary: done, want: "gave up"}},
		"from the last accepted put":     {{primary: done}, {at: 149, primary: done, d: answers{accepted: at(50)}}, {at: 150, primary: done, d: answers{accepted: at(50)}, want: "gave up"}},
		"no hope":                        {{primary: done, d: answers{noHope: true}}, {at: 29, primary: done, d: answers{noHope: true}}, {at: 30, primary: done, d: answers{noHope: true}, want: "hopeless"}},
		"hope":                           {{primary: done, d: answers{noHope: true}}, {at: 30, primary: done}, {at: 60, primary: done}},
		"it grows after all":             {{primary: done}, {at: 99, primary: growing}, {at: 100, primary: done}, {at: 199, primary: done}, {at: 200, primary: done, want: "gave up"}},
		"others that grow do not count":  {{primary: done, others: growing}, {at: 100, primary: done, others: growing, want: "gave up"}},
		"others, after the primary ones": {{primary: growing, others: done}, {at: 1000, others: done}, {at: 1009, others: done}, {at: 1010, others: done, want: "done"}},
		"a primary input returns":        {{primary: growing}, {at: 1, others: done}, {at: 9, primary: growing, others: done}, {at: 100, others: done}, {at: 109, others: done}, {at: 110, others: done, want: "done"}},
		"others alone":                   {{others: growing}, {at: 1000, others: growing}, {at: 1001, others: done}, {at: 1100, others: done}, {at: 1101, others: done, want: "gave up"}},
	} {
		t.Run(name, func(t *testing.T) {
			l := lifetime{giveUpAfter: 100 * time.Second, hopelessAfter: 30 * time.Second, othersAfter: 10 * time.Second}
			l.begin(began, looks[0].more)
			for _, look := range looks {
				l.hasPrimary = l.hasPrimary || look.primary.any
				got := ""
				err := l.over(at(look.at), look.primary, look.others, look.more, look.d)
				if gaveUp, ok := errors.AsType[*GaveUpError](err); ok && gaveUp.Hopeless {
					got = "hopeless"
				} else if ok {
					got = "gave up"
				} else if errors.Is(err, errAllDone) {
					got = "done"
				} else if err != nil {
					t.Fatal(err)
				}
				if got != look.want {
					t.Errorf("after %d s: got %q, want %q", look.at, got, look.want)
				}
			}
		})
	}
}
