package shipper

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cwlocal"
	"perstack-shipper/shipper/journal"
)

// Options that are left out have defaults: nothing is given up at once, nor put one event at a time.
func TestZeroOptions(t *testing.T) {
	puts := 0
	w := newWorld(t, func(call *cwlocal.Call) cwlocal.Fault {
		if call.Action != "PutLogEvents" {
			return cwlocal.Fault{}
		}
		if puts++; puts == 1 {
			return cwlocal.Throttle()
		}
		return cwlocal.Fault{}
	})
	var data bytes.Buffer
	for i := range 500 {
		fmt.Fprintf(&data, "{\"type\":\"x\",\"jobId\":\"j\",\"n\":%d}\n", i)
	}
	in := w.pipe("aaaaaaaa", bytes.NewReader(data.Bytes()), nil)
	if _, err := New(Options{Client: w.client, Create: true}).Run(t.Context(), []Input{in}, nil); err != nil {
		t.Fatal(err)
	}
	if got := w.lines("aaaaaaaa"); !bytes.Equal(got, data.Bytes()) {
		t.Errorf("%d bytes came back of %d", len(got), data.Len())
	}
	if puts > 20 {
		t.Errorf("%d puts for 500 small events", puts)
	}
}

// An input that cannot be shipped is said and left as it is, with its journal closed. The others are shipped.
func TestInputThatCannotBeShipped(t *testing.T) {
	w := newWorld(t, nil)
	j, err := w.folder.NewPipe("bbbbbbbb", nil, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.Write([]byte("{\"jobId\":\"j\"}\n{\"jobId\":\"j\"}\n")); err != nil {
		t.Fatal(err)
	}
	if err := j.Ack(journal.Cursor{Offset: 14, State: []byte("of another program")}); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if j, err = w.folder.Recover("bbbbbbbb"); err != nil {
		t.Fatal(err)
	}
	quit, closed := false, false
	bad := Input{
		Journal: j, Shape: batch.Shape{Input: "bbbbbbbb", Template: "{jobId}", Hostname: "host"}, Own: true,
		Quit: func() { quit = true }, Closed: func() { closed = quit },
	}
	good := w.pipe("aaaaaaaa", strings.NewReader("{\"jobId\":\"j\"}\n"), nil)
	report, err := New(w.options()).Run(t.Context(), []Input{bad, good}, nil)
	if err != nil || len(report.Failed) != 1 || !strings.Contains(report.Failed[0].Error(), "bbbbbbbb") {
		t.Errorf("%v, failed: %v", err, report.Failed)
	}
	if got := string(w.lines("aaaaaaaa")); got != "{\"jobId\":\"j\"}\n" {
		t.Errorf("the other input became %q", got)
	}
	if !closed {
		t.Error("its writer was not stopped, or its owner not told")
	}
	again, err := w.folder.Recover("bbbbbbbb")
	if err != nil {
		t.Fatal("it is not let go of: ", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}
