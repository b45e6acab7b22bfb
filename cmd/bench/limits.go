package main

// This file holds the rows that are not shippers but bounds: they have everything prepared and only
// repeat the last step.

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"perstack-shipper/batch"
)

const (
	limitGroup, limitStream = "/bench", "limit"
	// readyBytes is how much of a workload they prepare.
	readyBytes = 16 << 20
)

// spent is what a limit row measures of itself, once everything is prepared.
type spent struct {
	Events int   `json:"events"`
	Bytes  int64 `json:"bytes"` // of their lines, with newlines
	Wall   int64 `json:"wall"`  // nanoseconds
	CPU    int64 `json:"cpu"`   // nanoseconds
}

// readBatches makes full batches from the first lines of a file.
func readBatches(path string) (batches [][]types.InputLogEvent, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(io.LimitReader(f, readyBytes))
	lines.Buffer(nil, batch.MaxEventBytes)
	lines.Split(wholeLines)
	size := 0
	now := time.Now().UnixMilli()
	var events []types.InputLogEvent
	for lines.Scan() {
		n := len(lines.Bytes()) + batch.EventOverhead
		if size+n > batch.MaxBatchBytes || len(events) == batch.MaxBatchEvents {
			batches, events, size = append(batches, events), nil, 0
		}
		events = append(events, types.InputLogEvent{Message: aws.String(lines.Text()), Timestamp: aws.Int64(now)})
		size += n
	}
	if len(events) > 0 {
		batches = append(batches, events)
	}
	return batches, lines.Err()
}

// wholeLines is bufio.ScanLines, but drops a last line without a newline.
func wholeLines(data []byte, atEOF bool) (int, []byte, error) {
	if bytes.IndexByte(data, '\n') < 0 && atEOF {
		return len(data), nil, nil
	}
	return bufio.ScanLines(data, atEOF)
}

// limitArgs parses the arguments: the file of a workload, and how many events to put at least.
func limitArgs(args []string) (batches [][]types.InputLogEvent, events int, err error) {
	if len(args) != 2 {
		return nil, 0, errors.New("usage: sdk|http WORKLOAD_FILE EVENTS")
	}
	if events, err = strconv.Atoi(args[1]); err != nil {
		return nil, 0, err
	}
	if batches, err = readBatches(args[0]); err == nil && len(batches) == 0 {
		err = fmt.Errorf("%s has no lines", args[0])
	}
	return batches, events, err
}

// repeat puts the batches in turn until the given number of events is put, and prints what that
// took.
func repeat(batches [][]types.InputLogEvent, events int, put func(i int) error) error {
	if err := put(0); err != nil { // opens the connection
		return err
	}
	var did spent
	began, before := time.Now(), ownCPU()
	for i := 0; did.Events < events; i = (i + 1) % len(batches) {
		if err := put(i); err != nil {
			return err
		}
		did.Events += len(batches[i])
		for _, ev := range batches[i] {
			did.Bytes += int64(len(*ev.Message)) + 1
		}
	}
	did.Wall, did.CPU = time.Since(began).Nanoseconds(), (ownCPU() - before).Nanoseconds()
	return json.NewEncoder(os.Stdout).Encode(did)
}

func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // cannot fail with these arguments
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// runSDK puts events with the SDK's client as it is.
func runSDK(args []string) error {
	batches, events, err := limitArgs(args)
	if err != nil {
		return err
	}
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	client := cloudwatchlogs.NewFromConfig(cfg)
	return repeat(batches, events, func(i int) error {
		_, err := client.PutLogEvents(ctx, &cloudwatchlogs.PutLogEventsInput{
			LogGroupName: aws.String(limitGroup), LogStreamName: aws.String(limitStream), LogEvents: batches[i],
		})
		return err
	})
}

// runHTTP puts bodies with net/http, unsigned.
func runHTTP(args []string) error {
	batches, events, err := limitArgs(args)
	if err != nil {
		return err
	}
	type event struct {
		Timestamp int64  `json:"timestamp"`
		Message   string `json:"message"`
	}
	bodies := make([][]byte, len(batches))
	for i, b := range batches {
		all := make([]event, len(b))
		for j, ev := range b {
			all[j] = event{*ev.Timestamp, *ev.Message}
		}
		if bodies[i], err = json.Marshal(map[string]any{"logGroupName": limitGroup, "logStreamName": limitStream, "logEvents": all}); err != nil {
			return err
		}
	}
	client, err := plainClient()
	if err != nil {
		return err
	}
	return repeat(batches, events, func(i int) error {
		req, err := http.NewRequest(http.MethodPost, os.Getenv("AWS_ENDPOINT_URL"), bytes.NewReader(bodies[i]))
		if err != nil {
			return err
		}
		req.Header.Set("X-Amz-Target", "Logs_20140328.PutLogEvents")
		req.Header.Set("Content-Type", "application/x-amz-json-1.1")
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		return errors.Join(err, resp.Body.Close())
	})
}

// plainClient returns a client that trusts AWS_CA_BUNDLE, as the SDK does.
func plainClient() (*http.Client, error) {
	transport := &http.Transport{WriteBufferSize: 64 << 10}
	if path := os.Getenv("AWS_CA_BUNDLE"); path != "" {
		pem, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	return &http.Client{Transport: transport}, nil
}

// floors is the cost of single steps, in CPU nanoseconds for Bytes of lines.
type floors struct {
	Bytes int64 `json:"bytes"`
	Read  int64 `json:"read"`  // from the page cache, 256 KiB at a time
	Hash  int64 `json:"hash"`  // with SHA-256
	Shape int64 `json:"shape"` // into batches, without the hash
	Pack  int64 `json:"pack"`  // compressing their bodies and hashing the result
}

// runFloor reads, hashes, shapes and compresses a file.
func runFloor(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: floor FILE")
	}
	var did floors
	steps := []func() (func([]byte), error){
		func() (func([]byte), error) { return func([]byte) {}, nil },
		func() (func([]byte), error) {
			h := sha256.New()
			return func(p []byte) { h.Write(p) }, nil
		},
		func() (func([]byte), error) { return shapeAll(func(*batch.Batch) {}) },
		func() (func([]byte), error) {
			head := batch.BodyHead(limitGroup, limitStream)
			return shapeAll(func(b *batch.Batch) { b.Prepare(head, true) })
		},
	}
	var spent [4]int64
	for i, step := range steps {
		do, err := step()
		if err != nil {
			return err
		}
		if did.Bytes, spent[i], err = overFile(args[0], do); err != nil {
			return err
		}
	}
	did.Read, did.Hash, did.Shape, did.Pack = spent[0], spent[1]-spent[0], spent[2]-spent[1], spent[3]-spent[2]
	return json.NewEncoder(os.Stdout).Encode(did)
}

// overFile passes a file to do, block by block, and returns its size and the CPU nanoseconds spent.
func overFile(path string, do func([]byte)) (size, spent int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	buf := make([]byte, 256<<10)
	before := ownCPU()
	for {
		n, err := f.Read(buf)
		size += int64(n)
		do(buf[:n])
		if errors.Is(err, io.EOF) {
			return size, (ownCPU() - before).Nanoseconds(), nil
		}
		if err != nil {
			return 0, 0, err
		}
	}
}

// shapeAll returns a function that makes batches of the blocks passed to it, as the program does,
// and passes each full batch to full. The beginning of a line that continues in the next block is
// moved to the front.
func shapeAll(full func(*batch.Batch)) (func([]byte), error) {
	s, err := batch.NewShaper(batch.Shape{Input: "bench", Template: "{jobId}", Hostname: "bench"}, batch.State{}, nil)
	if err != nil {
		return nil, err
	}
	var pool batch.Pool
	var ev batch.Event
	var data []byte
	b, offset, now := batch.New(&pool), int64(0), time.Now().UnixMilli()
	arrivals := func(int64) int64 { return now }
	return func(block []byte) {
		data = append(data, block...)
		s.Begin(data, offset, now, arrivals, false)
		for s.Next(&ev) == batch.Made {
			if !b.Add(&ev, nil) {
				full(b)
				b.Release()
				b.Add(&ev, nil)
			}
		}
		n := s.End()
		offset += int64(n)
		data = data[:copy(data, data[n:])]
	}, nil
}
