package deliver_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"perstack-shipper/shipper/cwlocal"
	"perstack-shipper/shipper/cwlocal/localtest"
	"perstack-shipper/shipper/deliver"
)

// puts records which puts came compressed, and injects the faults that fault chooses.
type puts struct {
	mu         sync.Mutex
	compressed []bool
}

func (p *puts) intercept(fault func(c *cwlocal.Call) cwlocal.Fault) func(c *cwlocal.Call) cwlocal.Fault {
	return func(c *cwlocal.Call) cwlocal.Fault {
		if c.Action != "PutLogEvents" {
			return cwlocal.Fault{}
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.compressed = append(p.compressed, c.Compressed)
		return fault(c)
	}
}

// page is an answer from a server other than the service.
func page(status int) cwlocal.Fault {
	return cwlocal.Fault{Status: status, Code: "x", Body: []byte("<html>no</html>"), Header: http.Header{"X-Amzn-Errortype": nil, "Content-Type": {"text/html"}}}
}

// TestCompressedIsRefused checks that compression stops, with one warning, once a batch was refused
// compressed and accepted plain. If the plain one is refused as well, or the failure has another
// cause, compression goes on.
func TestCompressedIsRefused(t *testing.T) {
	ifCompressed := func(f cwlocal.Fault) func(*cwlocal.Call) cwlocal.Fault {
		return func(c *cwlocal.Call) cwlocal.Fault {
			if c.Compressed {
				return f
			}
			return cwlocal.Fault{}
		}
	}
	always := func(f cwlocal.Fault) func(*cwlocal.Call) cwlocal.Fault {
		return func(*cwlocal.Call) cwlocal.Fault { return f }
	}
	first := func(n int64, f cwlocal.Fault) func(*cwlocal.Call) cwlocal.Fault {
		return fails("PutLogEvents", f, n)
	}
	const z, p = true, false // compressed, plain
	for name, c := range map[string]struct {
		fault func(*cwlocal.Call) cwlocal.Fault
		puts  []bool // for two batches of one event each
		off   bool
		said  string
	}{
		"accepted":                        {always(cwlocal.Fault{}), []bool{z, z}, false, ""},
		"415":                             {ifCompressed(page(415)), []bool{z, p, p}, true, "HTTP 415"},
		"400 by code":                     {ifCompressed(cwlocal.Fault{Code: "SerializationException", Message: "bad"}), []bool{z, p, p}, true, "Serialization: bad"},
		"400 for a parameter":             {ifCompressed(cwlocal.Fault{Code: "InvalidParameterException", Message: "bad"}), []bool{z, p, p}, true, "InvalidParameter: bad"},
		"400 without a code":              {ifCompressed(page(400)), []bool{z, p, p}, true, "HTTP 400"},
		"500 of another server":           {ifCompressed(page(500)), []bool{z, z, z, p, p}, true, "HTTP 500"},
		"502 now and then":                {first(2, page(502)), []bool{z, z, z, z}, false, ""},
		"502 of an outage":                {first(5, page(502)), []bool{z, z, z, p, z, z, z}, false, ""},
		"503 of the service":              {first(5, localtest.Unavailable()), []bool{z, z, z, z, z, z, z}, false, ""},
		"throttled":                       {first(4, localtest.Throttle()), []bool{z, z, z, z, z, z}, false, ""},
		"refused for what is in it, once": {first(2, cwlocal.Fault{Code: "InvalidParameterException", Message: "bad"}), []bool{z, p, z, z}, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var seen puts
			w := newWorld(t, seen.intercept(c.fault), nil)
			st := stream("job")
			task := deliver.Task{Stream: st, Last: true}
			for range 2 {
				task.Batch = w.batch(line{text: "a"})
				task.Batch.Prepare(st.Head, w.Compresses())
				out := w.deliver(task)
				if out.Err != nil || len(out.Rejected) > 0 {
					t.Fatalf("%+v", out)
				}
				task.Stream = out.Stream
			}
			if n := len(w.server.Events(group, "job")); n != 2 {
				t.Errorf("%d of 2 events arrived", n)
			}
			if !slices.Equal(seen.compressed, c.puts) || w.Compresses() == c.off {
				t.Errorf("puts compressed: %v, want %v; still compressing: %t", seen.compressed, c.puts, w.Compresses())
			}
			warnings := strings.Count(w.said(), "refuses compressed batches")
			if want := map[bool]int{true: 1}[c.off]; warnings != want || !strings.Contains(w.said(), c.said) {
				t.Errorf("the log is\n%s", w.said())
			}
		})
	}
}

// TestRefusedCompressedIsFound checks that a refused event is found in a compressed batch as in a
// plain one.
func TestRefusedCompressedIsFound(t *testing.T) {
	w := newWorld(t, refusing("poison"), nil)
	st := stream("job")
	b := w.batch(line{text: "a"}, line{text: "poison"}, line{text: "b"})
	b.Prepare(st.Head, true)
	out := w.deliver(deliver.Task{Stream: st, Batch: b})
	if n := len(w.server.Events(group, "job")); out.Err != nil || len(out.Rejected) != 1 || n != 2 {
		t.Errorf("%d of 2 events arrived; %+v", n, out)
	}
	if !w.Compresses() {
		t.Error("the refused event was taken for a refusal of compressed bodies")
	}
}
