package cwlocal

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/testkit/await"
)

// aPut is the body of a legal put of one event.
var aPut = fmt.Sprintf(`{"logGroupName":"/perstack/test","logStreamName":"job-1","logEvents":[{"timestamp":%d,"message":"x"}]}`, testNow.UnixMilli())

func zipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, text) // writing to a buffer never fails
	_ = w.Close()
	return b.String()
}

func TestRequests(t *testing.T) {
	e := startWithStream(t, Options{})
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	gzipped := header("Content-Encoding", "gzip")
	for _, c := range []struct {
		name, action, body string
		change             func(*http.Request)
		status             int
		code               string
	}{
		{"legal", "PutLogEvents", aPut, nil, 200, ""},
		{"with a charset", "PutLogEvents", aPut, header("Content-Type", contentType+"; charset=utf-8"), 200, ""},
		{"white space", "PutLogEvents", " \n\t\r" + strings.ReplaceAll(strings.ReplaceAll(aPut, ":", " :\n"), ",", "\t,\r") + " ", nil, 200, ""},
		{"unknown members", "PutLogEvents", aPut[:len(aPut)-1] + `,"x":[{"a":[1,-2.5e+3,true,false,null,"\u00e9"]}],"sequenceToken":"1"}`, nil, 200, ""},
		{"gzip", "PutLogEvents", zipped(aPut), gzipped, 200, ""},
		{"identity", "PutLogEvents", aPut, header("Content-Encoding", "identity"), 200, ""},
		{"not gzip despite the header", "PutLogEvents", aPut, gzipped, 400, "SerializationException"},
		{"half of gzip", "PutLogEvents", zipped(aPut)[:40], gzipped, 400, "SerializationException"},
		{"gzip with trailing data", "PutLogEvents", zipped(aPut) + "more", gzipped, 400, "SerializationException"},
		{"gzip of unknown length", "PutLogEvents", zipped(aPut), func(r *http.Request) { gzipped(r); r.ContentLength = -1 }, 411, "MissingContentLength"},
		{"gzip of too much", "PutLogEvents", zipped(strings.Repeat(" ", maxBody+1)), gzipped, 413, "RequestEntityTooLargeException"},
		{"another compression", "PutLogEvents", aPut, header("Content-Encoding", "br"), 400, "SerializationException"},
		{"too much", "PutLogEvents", strings.Repeat(" ", maxBody+1), nil, 413, "RequestEntityTooLargeException"},
		{"the most", "PutLogEvents", aPut + strings.Repeat(" ", maxBody-len(aPut)), nil, 200, ""},
		{"no body", "PutLogEvents", "", nil, 400, "SerializationException"},
		{"half a body", "PutLogEvents", aPut[:50], nil, 400, "SerializationException"},
		{"more than a body", "PutLogEvents", aPut + "{}", nil, 400, "SerializationException"},
		{"an array", "PutLogEvents", "[]", nil, 400, "SerializationException"},
		{"an array elsewhere", "CreateLogGroup", "[]", nil, 400, "SerializationException"},
		{"null elsewhere", "CreateLogGroup", "null", nil, 400, "SerializationException"},
		{"a number for a name", "CreateLogGroup", `{"logGroupName":1}`, nil, 400, "SerializationException"},
		{"no name", "CreateLogGroup", `{}`, nil, 400, "InvalidParameterException"},
		{"not UTF-8", "PutLogEvents", strings.Replace(aPut, `"x"`, "\"\xff\"", 1), nil, 400, "SerializationException"},
		{"not UTF-8 elsewhere", "CreateLogGroup", "{\"logGroupName\":\"a\xff\"}", nil, 400, "SerializationException"},
		{"half a surrogate pair", "PutLogEvents", strings.Replace(aPut, `"x"`, `"\ud800"`, 1), nil, 200, ""},
		{"a raw control character", "PutLogEvents", strings.Replace(aPut, `"x"`, "\"\x01\"", 1), nil, 400, "SerializationException"},
		{"an unknown escape", "PutLogEvents", strings.Replace(aPut, `"x"`, `"\x"`, 1), nil, 400, "SerializationException"},
		{"a text for a time", "PutLogEvents", strings.Replace(aPut, `"timestamp":1`, `"timestamp":"1`, 1), nil, 400, "SerializationException"},
		{"a fraction for a time", "PutLogEvents", `{"logGroupName":"/perstack/test","logStreamName":"job-1","logEvents":[{"timestamp":1.5,"message":"x"}]}`, nil, 400, "SerializationException"},
		{"a time of 65 bits", "PutLogEvents", `{"logGroupName":"/perstack/test","logStreamName":"job-1","logEvents":[{"timestamp":9223372036854775808,"message":"x"}]}`, nil, 400, "SerializationException"},
		{"no time", "PutLogEvents", `{"logGroupName":"/perstack/test","logStreamName":"job-1","logEvents":[{"message":"x"}]}`, nil, 400, "InvalidParameterException"},
		{"no message", "PutLogEvents", `{"logGroupName":"/perstack/test","logStreamName":"job-1","logEvents":[{"timestamp":1,"message":null}]}`, nil, 400, "InvalidParameterException"},
		{"no events", "PutLogEvents", `{"logGroupName":"/perstack/test","logStreamName":"job-1","logEvents":null}`, nil, 400, "InvalidParameterException"},
		{"no stream", "PutLogEvents", `{"logGroupName":"/perstack/test","logEvents":[]}`, nil, 400, "InvalidParameterException"},
		{"deep", "PutLogEvents", `{"x":` + strings.Repeat("[", 100000), nil, 400, "SerializationException"},
		{"an unknown operation", "StartQuery", "{}", nil, 400, "UnknownOperationException"},
		{"no operation", "", "{}", header("X-Amz-Target", ""), 400, "UnknownOperationException"},
		{"another service", "", "{}", header("X-Amz-Target", "DynamoDB_20120810.ListTables"), 400, "UnknownOperationException"},
		{"another method", "PutLogEvents", aPut, func(r *http.Request) { r.Method = http.MethodPut }, 400, "UnknownOperationException"},
		{"another content type", "PutLogEvents", aPut, header("Content-Type", "application/json"), 400, "UnknownOperationException"},
		{"unsigned", "PutLogEvents", aPut, func(r *http.Request) { r.Header.Del("Authorization") }, 400, "MissingAuthenticationTokenException"},
		{"another signature", "PutLogEvents", aPut, header("Authorization", "Bearer x"), 400, "IncompleteSignatureException"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := len(e.Events(testGroup, testStream))
			status, code := e.raw(c.action, c.body, c.change)
			if status != c.status || code != c.code {
				t.Errorf("%d %q, want %d %q", status, code, c.status, c.code)
			}
			if c.action == "PutLogEvents" {
				if stored := len(e.Events(testGroup, testStream)) - before; (stored == 1) != (c.status == 200) {
					t.Errorf("%d events stored", stored)
				}
			}
		})
	}
}

func TestUnsignedIsAccepted(t *testing.T) {
	e := startWithStream(t, Options{AllowUnsigned: true})
	if status, code := e.raw("PutLogEvents", aPut, func(r *http.Request) { r.Header.Del("Authorization") }); status != 200 {
		t.Errorf("%d %s", status, code)
	}
}

// TestErrorTypeInBody checks that the error type is in the body as well, for clients that
// ignore the header.
func TestErrorTypeInBody(t *testing.T) {
	s, err := New(Options{AllowUnsigned: true})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`{"logGroupName":"a\"b"}`))
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("X-Amz-Target", targetPrefix+"CreateLogGroup")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	want := `{"__type":"InvalidParameterException","message":"1 validation error detected: Value 'a\"b' at 'logGroupName' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[.\\-_/#A-Za-z0-9]+$"}`
	if got := w.Body.String(); got != want || w.Header().Get("Content-Type") != contentType || w.Header().Get("X-Amzn-Requestid") == "" {
		t.Errorf("%s\nwant\n%s\n%v", got, want, w.Header())
	}
	// Without a connection to reset, the handler aborts.
	s.opt.Intercept = func(*Call) Fault { return Fault{ResetBefore: true} }
	defer func() {
		if e := recover(); e != http.ErrAbortHandler {
			t.Errorf("recovered %v", e)
		}
	}()
	s.ServeHTTP(httptest.NewRecorder(), r.Clone(t.Context()))
}

func TestStats(t *testing.T) {
	e := startWithStream(t, Options{})
	e.mustPut(event(0, "12345"), event(0, "678"))
	half := strings.Repeat("x", batch.MaxBatchBytes/2-26)
	e.mustPut(event(-15*24*time.Hour, "old"), event(0, half), event(0, half[:len(half)-29]))
	if _, err := e.put(event(0, "")); err == nil {
		t.Fatal("an empty message was accepted")
	}
	s := e.Stats()
	bytes := int64(8 + 2*len(half) - 29)
	if s.Batches != 2 || s.Events != 4 || s.MessageBytes != bytes || s.BatchBytes != bytes+4*26 || s.Rejected != 1 {
		t.Errorf("%+v", s)
	}
	if s.Calls["PutLogEvents"] != 3 || s.Calls["CreateLogGroup"] != 1 || s.Errors["InvalidParameterException"] != 1 {
		t.Errorf("calls %v, errors %v", s.Calls, s.Errors)
	}
	if want := float64(s.BatchBytes) / 2 / 1048576; s.Fill() != want || (Stats{}).Fill() != 0 {
		t.Errorf("fill %f, want %f", s.Fill(), want)
	}
	if s.MostPutsInFlightPerStream != 1 {
		t.Errorf("%d puts in flight, want 1", s.MostPutsInFlightPerStream)
	}
}

// TestConcurrentPuts runs eight clients on four streams, with readers among them and a known number
// of puts in flight.
func TestConcurrentPuts(t *testing.T) {
	const clients, puts = 8, 25
	var waiting sync.WaitGroup
	waiting.Add(clients)
	e := startWithStream(t, Options{Intercept: func(c *Call) Fault {
		if c.Action == "PutLogEvents" && c.N <= clients { // the first put of each client waits for the others
			waiting.Done()
			waiting.Wait()
		}
		return Fault{}
	}})
	streams := []string{"a", "b", "c", "d"}
	for _, s := range streams {
		if _, err := e.CreateLogStream(e.ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: aws.String(testGroup), LogStreamName: &s}); err != nil {
			t.Fatal(err)
		}
	}
	var done sync.WaitGroup
	for client := range clients {
		done.Go(func() {
			stream := streams[client%len(streams)]
			for n := range puts {
				if _, err := e.putTo(stream, event(0, fmt.Sprintf("%d %d", client, n)), event(time.Second, "later")); err != nil {
					t.Error(err)
					return
				}
				if n%5 == 0 {
					e.Events(testGroup, stream)
					if _, err := e.FilterLogEvents(e.ctx, &cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String(testGroup)}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	await.Return(t, "the end of all puts", done.Wait)
	for i, s := range streams {
		events := e.Events(testGroup, s)
		if len(events) != 2*puts*clients/len(streams) {
			t.Errorf("%s has %d events", s, len(events))
		}
		next := map[int]int{} // the expected n of each client's next event
		for _, ev := range events[:len(events)/2] {
			var client, n int
			if _, err := fmt.Sscanf(ev.Message, "%d %d", &client, &n); err != nil || client%len(streams) != i || n != next[client] {
				t.Fatalf("%s: %q out of order (%v)", s, ev.Message, err)
			}
			next[client]++
		}
	}
	if s := e.Stats(); s.MostPutsInFlightPerStream != clients/len(streams) || s.Events != 2*puts*clients {
		t.Errorf("%d puts in flight per stream, %d events", s.MostPutsInFlightPerStream, s.Events)
	}
}

// TestPutsRaceDeletion deletes a stream during puts: each put is stored or refused, and no old
// event appears in the new stream.
func TestPutsRaceDeletion(t *testing.T) {
	e := startWithStream(t, Options{Dir: t.TempDir()})
	var done sync.WaitGroup
	for range 4 {
		done.Go(func() {
			for range 50 {
				if _, err := e.put(event(0, "x")); err != nil {
					wantNotFound(t, err)
				}
			}
		})
	}
	for range 20 {
		e.DeleteStream(testGroup, testStream)
		if _, err := e.CreateLogStream(e.ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: aws.String(testGroup), LogStreamName: aws.String(testStream)}); err != nil {
			t.Error(err)
		}
	}
	await.Return(t, "the end of all puts", done.Wait)
	e.DeleteGroup(testGroup)
	e.create(testGroup, testStream)
	if n := len(e.Events(testGroup, testStream)); n != 0 {
		t.Errorf("%d events in a new stream", n)
	}
}

func wantNotFound(t *testing.T, err error) {
	t.Helper()
	var api interface{ ErrorCode() string }
	if !errors.As(err, &api) || api.ErrorCode() != "ResourceNotFoundException" {
		t.Errorf("got %v, want ResourceNotFoundException", err)
	}
}

func TestQuotas(t *testing.T) {
	e := start(t, Options{Quotas: true})
	e.create(testGroup)
	in := &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: aws.String(testGroup), RetentionInDays: aws.Int32(7)}
	refused := 0
	from := time.Now()
	for range 50 {
		if _, err := e.PutRetentionPolicy(e.ctx, in); err != nil {
			wantCode(t, err, "ThrottlingException", "Rate exceeded")
			refused++
		}
	}
	most := 50 - 5 - int(time.Since(from).Seconds()*5) - 1
	if refused < most || refused > 45 {
		t.Errorf("%d of 50 refused in %s at 5 per second", refused, time.Since(from))
	}
	for action := range operations {
		if perSecond[action] == 0 {
			t.Errorf("%s has no quota", action)
		}
	}
}

func TestDiscard(t *testing.T) {
	e := startWithStream(t, Options{Discard: true})
	e.mustPut(event(time.Second, "123"), event(2*time.Second, "45"))
	e.mustPut(event(0, "6"))
	if s := e.Stats(); s.Events != 3 || s.MessageBytes != 6 {
		t.Errorf("%+v", s)
	}
	if got := e.messages(); got != "" {
		t.Errorf("kept %q", got)
	}
	if out := e.mustGet(nil); len(out.Events) != 0 {
		t.Errorf("read back %q", texts(out.Events))
	}
	out, err := e.DescribeLogStreams(e.ctx, &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: aws.String(testGroup)})
	if err != nil || *out.LogStreams[0].FirstEventTimestamp != testNow.UnixMilli() || *out.LogStreams[0].LastEventTimestamp != testNow.Add(2*time.Second).UnixMilli() {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestListen(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Host) })
	for addr, prefix := range map[string]string{"": "http://127.0.0.1:", ":0": "http://127.0.0.1:", "0.0.0.0:0": "http://127.0.0.1:", "localhost:0": "http://", "[::1]:0": "http://[::1]:"} {
		ctx, cancel := context.WithCancel(t.Context())
		url, wait, err := Listen(ctx, addr, h)
		if err != nil {
			cancel()
			if addr == "[::1]:0" {
				t.Log("no IPv6 here: ", err)
				continue
			}
			t.Fatal(err)
		}
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Get(url)
		if err != nil || !strings.HasPrefix(url, prefix) {
			t.Errorf("%q is served on %s: %v", addr, url, err)
		}
		if err == nil {
			_ = resp.Body.Close()
		}
		cancel()
		if err := wait(); err != nil {
			t.Errorf("%q: %v", addr, err)
		}
		if _, err := client.Get(url); err == nil {
			t.Errorf("%s still answers after wait returned", url)
		}
	}
	for _, addr := range []string{"nonsense", "127.0.0.1:99999", "192.0.2.1:0"} {
		if _, _, err := Listen(t.Context(), addr, h); err == nil || !strings.Contains(err.Error(), addr) {
			t.Errorf("%q: %v", addr, err)
		}
	}
}

// TestListenEndsHangingCalls ends the context while a call hangs: wait returns nevertheless.
func TestListenEndsHangingCalls(t *testing.T) {
	arrived := make(chan struct{})
	s, err := New(Options{AllowUnsigned: true, Intercept: func(*Call) Fault {
		close(arrived)
		return Fault{Hang: true}
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	url, wait, err := Listen(ctx, "", s)
	if err != nil {
		t.Fatal(err)
	}
	result := make(chan error, 1)
	go func() {
		r, _ := http.NewRequest(http.MethodPost, url, strings.NewReader(aPut))
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("X-Amz-Target", targetPrefix+"PutLogEvents")
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		_, err := client.Do(r)
		result <- err
	}()
	await.Receive(t, "the put", arrived)
	cancel()
	if err := wait(); err != nil {
		t.Error(err)
	}
	if err := await.Receive(t, "the end of the put", result); err == nil {
		t.Error("the call was answered")
	}
}
