package main

// This file measures what compression costs and saves: over TLS on loopback, and on a link like
// that of a small task.

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	// linkRate is the shaped link's bits per second each way. linkRoundTrip is its round trip time.
	linkRate      = 20e6
	linkRoundTrip = 50 * time.Millisecond
	// linkBurst is how much the link may catch up after a busy machine woke it too late.
	linkBurst = 20 * time.Millisecond

	rowPlain, rowGzip = "--compress off", "--compress gzip"
)

// wireResult is one workload with and without compression.
type wireResult struct {
	title       string
	long        bool
	tls, shaped []result // plain, then compressed; shaped is nil if not measured
}

// wire measures deltas and long lines with and without compression.
func (b *bench) wire() error {
	link, err := newLink(b.endpoint.hello.HTTPS)
	if err != nil {
		return err
	}
	defer link.close()
	for _, w := range []struct {
		name, title string
		w           workload
		shaped      int // lines to send over the link
	}{
		{"deltas", "deltas of 350 bytes", workload{Lines: b.count(2_000_000), Jobs: 1}, b.count(200_000)},
		{"long", "lines of 41 KB", workload{Lines: min(5_000, 4*b.count(5_000)), Jobs: 1, Long: true}, 0},
	} {
		f, err := b.generate(w.name, w.w)
		if err != nil {
			return err
		}
		r := &wireResult{title: fmt.Sprintf("%s %s (%.2f GB)", thousands(float64(f.Lines)), w.title, float64(f.Bytes)/1e9), long: w.w.Long}
		if r.tls, err = b.interleave(f, b.compressions(b.ours(true))); err != nil {
			return err
		}
		if w.shaped > 0 {
			few, err := b.generate("wire", workload{Lines: w.shaped, Jobs: 1})
			if err != nil {
				return err
			}
			over := b.ours(true)
			over.env = append(over.env, "AWS_ENDPOINT_URL="+link.url) // the last of a name counts
			if r.shaped, err = b.interleave(few, b.compressions(over)); err != nil {
				return err
			}
			if err := b.drop(few); err != nil {
				return err
			}
		}
		b.report.wire = append(b.report.wire, r)
		b.judgeWire(r)
	}
	return nil
}

// compressions returns the rows of p without and with compression.
func (b *bench) compressions(p *program) []row {
	var rows []row
	for _, options := range []string{rowPlain, rowGzip} {
		with := *p
		with.argv = append(append([]string(nil), p.argv...), strings.Fields(options)...)
		rows = append(rows, row{options, func(f *file) (sample, error) { return b.shipFresh(&with, f, 0) }})
	}
	return rows
}

func onWire(s *sample) float64 { return float64(s.answer.Wire) / float64(s.bytes) }

// judgeWire compares the effects of compression with the targets.
func (b *bench) judgeWire(r *wireResult) {
	where, cpuMost, wireMost := "deltas", 1.0, 1.0/8
	if r.long {
		where, cpuMost, wireMost = "41 KB lines", 1.15, 0.5
	}
	plain, packed := &r.tls[0], &r.tls[1]
	cpu := packed.median((*sample).cpuPerGB) / plain.median((*sample).cpuPerGB)
	b.report.judge(11, where+" compressed over TLS: CPU per GB relative to plain", fmt.Sprintf("at most %.2f times", cpuMost), fmt.Sprintf("%.2f times", cpu), cpu <= cpuMost)
	bytes := packed.median(onWire) / plain.median(onWire)
	b.report.judge(11, where+" compressed: bytes sent relative to plain", fmt.Sprintf("at most %.3f times", wireMost), fmt.Sprintf("%.3f times", bytes), bytes <= wireMost)
	if r.shaped != nil {
		speed := r.shaped[1].median(drained)
		b.report.judge(11, where+" compressed over 20 Mbit/s and 50 ms: MB/s", "at least 16", fmt.Sprintf("%.1f", speed), speed >= 16)
	}
}

func (b *bench) renderWire(p func(string, ...any)) {
	if b.report.wire == nil {
		return
	}
	p("## Compression\n")
	p("Over TLS on loopback, and over TLS on a 20 Mbit/s link with a round trip of 50 ms. On the link, the time counts from the first put to the last answer.\n")
	p("| | | MB/s | CPU s per GB | peak RSS, MB | bytes sent per byte of lines |\n|---|---|---|---|---|---|")
	line := func(title, over string, r *result, speed func(*sample) float64) {
		p("| %s | %s%s | %s | %s | %s | %.3f |", title, r.name, over, spread(valuesOf(r.samples, speed), decimals(1)),
			spread(valuesOf(r.samples, (*sample).cpuPerGB), decimals(2)), spread(valuesOf(r.samples, (*sample).megabytesRSS), decimals(1)), r.median(onWire))
	}
	for _, r := range b.report.wire {
		for i := range r.tls {
			line(r.title, "", &r.tls[i], (*sample).megabytesPerSecond)
		}
		for i := range r.shaped {
			line(fmt.Sprintf("%s of these", thousands(float64(r.shaped[i].samples[0].events))), ", 20 Mbit/s", &r.shaped[i], drained)
		}
	}
	p("")
	for _, r := range b.report.wire {
		for i := range r.shaped {
			renderLinkFloor(p, &r.shaped[i])
		}
	}
}

// renderLinkFloor shows what the link allows with one put in flight: each put takes a round trip,
// and its body takes time on the link.
func renderLinkFloor(p func(string, ...any), r *result) {
	s := &r.samples[0]
	wire := time.Duration(float64(s.answer.Wire) * 8 / linkRate * float64(time.Second))
	least := wire + time.Duration(s.answer.Puts)*linkRoundTrip
	gap := r.median(func(s *sample) float64 { return float64(s.answer.GapMedian) / 1e6 })
	p("%s: %d consecutive puts take %.2f s of round trips, and %.2f MB of bodies take %.2f s at 20 Mbit/s, so the maximum is %.1f MB/s of lines. The endpoint saw %.1f ms between an answer and the next put, including the round trip.\n",
		r.name, s.answer.Puts, (time.Duration(s.answer.Puts) * linkRoundTrip).Seconds(), float64(s.answer.Wire)/1e6, wire.Seconds(), float64(s.bytes)/1e6/least.Seconds(), gap)
}

// link is a network with a bounded rate and a latency, shared by all connections. It is a TCP proxy
// in front of one address.
type link struct {
	url      string // of the endpoint behind it
	to       string
	listener net.Listener
	up, down direction
}

// direction is one direction of a link.
type direction struct {
	mu   sync.Mutex
	free time.Time // when the last bytes will have left
}

func newLink(endpoint string) (*link, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, err
	}
	l := &link{to: u.Host}
	if l.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	u.Host = l.listener.Addr().String()
	l.url = u.String()
	go l.serve()
	return l, nil
}

func (l *link) close() { l.listener.Close() }

func (l *link) serve() {
	for {
		from, err := l.listener.Accept()
		if err != nil {
			return // closed
		}
		to, err := net.Dial("tcp", l.to)
		if err != nil {
			from.Close()
			continue
		}
		go l.connect(from, to)
	}
}

// connect carries both directions until both have ended.
func (l *link) connect(from, to net.Conn) {
	var ways sync.WaitGroup
	ways.Go(func() { l.up.carry(to, from) })
	ways.Go(func() { l.down.carry(from, to) })
	ways.Wait()
	from.Close()
	to.Close()
}

// segment is bytes in flight.
type segment struct {
	data    []byte
	arrives time.Time
}

// carry copies from from to to until either ends, at the rate and with the latency of the link.
func (d *direction) carry(to, from net.Conn) {
	const most = 8 << 10
	// underway holds as much as fits on the wire.
	underway := make(chan segment, linkRate/8*linkRoundTrip/time.Second/most+2)
	go func() {
		defer close(underway)
		for {
			data := make([]byte, most)
			began := time.Now()
			n, err := from.Read(data)
			if n > 0 {
				leaves := d.send(n, time.Since(began) > time.Millisecond)
				time.Sleep(time.Until(leaves))
				underway <- segment{data[:n], leaves.Add(linkRoundTrip / 2)}
			}
			if err != nil {
				return
			}
		}
	}()
	var failed error
	for s := range underway {
		if failed == nil {
			time.Sleep(time.Until(s.arrives))
			_, failed = to.Write(s.data)
		}
		if failed != nil {
			from.Close() // keep draining underway
		}
	}
	if half, ok := to.(*net.TCPConn); ok {
		half.CloseWrite() // may be closed already
	}
}

// send occupies the line for n bytes, and returns when the last of them has left. waited says that
// the sender had to wait for them, so the line was free.
func (d *direction) send(n int, waited bool) time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	since := time.Now()
	if !waited {
		since = since.Add(-linkBurst)
	}
	if d.free.Before(since) {
		d.free = since
	}
	d.free = d.free.Add(time.Duration(float64(n) * 8 / linkRate * float64(time.Second)))
	return d.free
}
