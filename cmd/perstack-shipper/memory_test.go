package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"perstack-shipper/batch"
)

// mostRSS is what a process may use with the default --memory-max: 32 MiB, a quarter more for the
// garbage collector, and the program itself.
const mostRSS = 70_000_000

// The program's memory stays bounded for any output of an agent: for lines as long as a line can
// be, of the worst bytes, and for any number of streams.
func TestMemoryIsBounded(t *testing.T) {
	long := func(unit string) []byte {
		return append(bytes.Repeat([]byte(unit), (batch.MaxLineBytes-2)/len(unit)), '\n')
	}
	var jobs bytes.Buffer
	for i := range 100_000 {
		fmt.Fprintf(&jobs, `{"type":"note","id":"%024d","timestamp":%d,"jobId":"job%04d","text":"%0200d"}`+"\n", i, time.Now().UnixMilli(), i%1000, i)
	}
	w := newLocalWorld(t)
	for name, data := range map[string][]byte{
		"no UTF-8":                   long("\xff"),
		"no UTF-8, in an object":     append(append([]byte(`{"jobId":"j","a":"`), long("\xff")[20:batch.MaxLineBytes-2]...), "\"}\n"...),
		"control characters":         long("\x01"),
		"quotes":                     long(`"`),
		"a number":                   append(append([]byte(`{"a":`), long("1")[10:batch.MaxLineBytes-2]...), "}\n"...),
		"longer than is kept, twice": bytes.Repeat(bytes.TrimSuffix(long("\xc3"), []byte("\n")), 4),
		"of a thousand jobs":         jobs.Bytes(),
	} {
		t.Run(name, func(t *testing.T) {
			c := w.in(t).piped(data, "--log-group=/memory")
			var said bytes.Buffer
			c.Stderr = &said
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- c.Wait() }()
			var err error
			rss, running := int64(0), true
			for running {
				select {
				case err = <-ended:
					running = false
				case <-time.After(2 * time.Millisecond):
					rss = max(rss, peakRSS(c.Process.Pid))
				}
			}
			if err != nil || rss == 0 {
				t.Fatalf("%v: %s", err, &said)
			}
			t.Logf("peak RSS %d MB", rss/1e6)
			if rss > mostRSS {
				t.Errorf("%d bytes of memory were used, want at most %d", rss, mostRSS)
			}
		})
	}
}

// peakRSS returns the peak memory in bytes of a process since it started its program, or 0 if it
// has ended. The resource usage that the kernel reports of an ended process does not help: it
// begins with the memory of its parent.
func peakRSS(pid int) (bytes int64) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if n, err := fmt.Sscanf(line, "VmHWM: %d kB", &bytes); n == 1 && err == nil {
			return bytes << 10
		}
	}
	return 0
}
