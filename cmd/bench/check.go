package main

// This file checks, after the measurement, whether every line arrived once and unchanged, and
// whether CloudWatch would have accepted the batches.

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"perstack-shipper/batch"
)

// maxProblems is how many problems one check reports; more would not help.
const maxProblems = 5

// check is a check under way. Its workers divide the bodies among themselves.
type check struct {
	o    *order
	seen []atomic.Uint64 // one bit per line: by seq, or by the number in its id

	mu       sync.Mutex // guards the fields below: workers report here, once per body
	problems []string
	events   int
	messages int64
	lines    int
	sum      uint64
	input    string
	fill     []float64 // by put
}

// check decodes what was put since the last reset and compares it with what was expected.
func (e *endpoint) check(o *order) (answer, error) {
	puts := e.inOrder()
	c := &check{o: o, seen: make([]atomic.Uint64, o.Lines/64+1), fill: make([]float64, len(puts))}
	err := e.decode(puts, func() func(int, []byte) error {
		w := &worker{c: c}
		return w.body
	})
	if err != nil {
		return answer{}, err
	}
	a := answer{
		Puts: len(puts), Creates: int(e.creates.Load()), Events: c.events, Messages: c.messages, InFlight: int(e.most.Load()),
		Problems: append(c.problems, e.fails...),
	}
	if c.lines != o.Lines || c.sum != o.Sum && o.Form != formFound {
		a.Problems = append(a.Problems, fmt.Sprintf("%d of %d lines arrived; their checksum is %x, not %x", c.lines, o.Lines, c.sum, o.Sum))
	}
	var gaps []int64
	for i, p := range puts {
		a.Wire += p.body.size
		if i > 0 {
			gaps = append(gaps, p.came.Sub(puts[i-1].answered).Nanoseconds())
		}
	}
	if len(puts) > 0 {
		a.First, a.Last = puts[0].came.UnixNano(), puts[len(puts)-1].answered.UnixNano()
	}
	if full := c.fill[:max(0, len(puts)-1)]; len(full) > 0 {
		a.FillMin = slices.Min(full)
		for _, f := range full {
			a.FillMean += f / float64(len(full))
		}
		slices.Sort(gaps)
		a.GapMedian = gaps[len(gaps)/2]
	}
	return a, nil
}

// inOrder returns the puts in order of arrival.
func (e *endpoint) inOrder() []put {
	e.mu.Lock()
	defer e.mu.Unlock()
	puts := slices.Clone(e.puts)
	slices.SortFunc(puts, func(x, y put) int { return x.came.Compare(y.came) })
	return puts
}

// decode passes the bodies of puts to as many workers as there are processors.
func (e *endpoint) decode(puts []put, newWorker func() func(i int, body []byte) error) error {
	var next atomic.Int64
	errs := make([]error, runtime.GOMAXPROCS(0))
	var all sync.WaitGroup
	for n := range errs {
		work := newWorker()
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(puts)) && errs[n] == nil; i = next.Add(1) - 1 {
				var body []byte
				if body, errs[n] = e.keep.load(puts[i].body); errs[n] == nil && puts[i].gzip {
					body, errs[n] = unzip(body)
				}
				if errs[n] == nil {
					errs[n] = work(int(i), body)
				}
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func unzip(body []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// worker checks one body after another.
type worker struct {
	c *check
}

func (w *worker) body(i int, body []byte) error {
	var (
		last, size  int64
		events      int
		lines       int
		sum         uint64
		messages    int64
		input, bad  string
		first, span int64
	)
	err := decodeBody(body, func(timestamp int64, message []byte) error {
		if events == 0 {
			first = timestamp
		}
		if timestamp < last {
			bad = "a batch is not in order of time"
		}
		last, span = timestamp, timestamp-first
		events++
		messages += int64(len(message))
		size += int64(len(message)) + batch.EventOverhead
		line, id, problem := w.c.line(message)
		switch {
		case problem != "":
			bad = problem
		case line != nil:
			lines++
			sum += lineSum(line)
			input = cmp.Or(id, input)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if size > batch.MaxBatchBytes || events > batch.MaxBatchEvents || span > batch.MaxBatchSpan.Milliseconds() {
		bad = fmt.Sprintf("a batch of %d events, %d bytes and %d ms exceeds the limits", events, size, span)
	}
	c := w.c
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events += events
	c.messages += messages
	c.lines += lines
	c.sum += sum
	c.fill[i] = float64(size) / batch.MaxBatchBytes
	if c.input == "" {
		c.input = input
	} else if input != "" && input != c.input {
		bad = fmt.Sprintf("lines from two inputs, %s and %s", c.input, input)
	}
	if bad != "" && len(c.problems) < maxProblems {
		c.problems = append(c.problems, bad)
	}
	return nil
}

// line returns the line in a message and, if the message says so, the input that it belongs to. A
// nil line means that the message is not a line. It records the line's number.
func (c *check) line(message []byte) (line []byte, input, problem string) {
	n := 0
	switch c.o.Form {
	case formShipper:
		r, err := batch.Restore(message)
		switch {
		case err != nil:
			return nil, "", err.Error()
		case r.Record != "":
			return nil, "", ""
		case r.Part != 0 || r.Text || r.Lossy || r.At != 0 || r.Empty != 0 || len(r.Added) > 0:
			return nil, "", fmt.Sprintf("line %d was not shipped unchanged: %.200s", r.Seq, message)
		}
		line, input, n = r.Line, r.Input, int(r.Seq)-1
	case formLine:
		line = message
		if n = lineNumber(message); n >= 0 {
			n -= c.o.First
		}
	default:
		at := lineNumber(message)
		if at < 0 {
			return nil, "", ""
		}
		line, n = message, at-c.o.First
	}
	if n < 0 || n >= c.o.Lines {
		return nil, "", fmt.Sprintf("not a line of this workload: %.200s", message)
	}
	if bit := uint64(1) << (n % 64); c.seen[n/64].Or(bit)&bit != 0 {
		return nil, "", fmt.Sprintf("line %d arrived twice", n)
	}
	return line, input, ""
}

// lineNumber returns the number of the line in a message, or -1.
func lineNumber(message []byte) int {
	at := bytes.Index(message, []byte(lineToken))
	if at < 0 || len(message) < at+len(lineToken)+10 {
		return -1
	}
	n, err := strconv.Atoi(string(message[at+len(lineToken) : at+len(lineToken)+10]))
	if err != nil {
		return -1
	}
	return n
}

// accepted returns when each line's put was answered.
func (e *endpoint) accepted(o *order) (answer, error) {
	puts := e.inOrder()
	a := answer{Accepted: make([]int64, o.Lines)}
	for _, p := range puts {
		body, err := e.keep.load(p.body)
		if err != nil {
			return a, err
		}
		err = decodeBody(body, func(_ int64, message []byte) error {
			if n := lineNumber(message) - o.First; n >= 0 && n < o.Lines && a.Accepted[n] == 0 {
				a.Accepted[n] = p.answered.UnixNano()
			}
			return nil
		})
		if err != nil {
			return a, err
		}
	}
	return a, nil
}
