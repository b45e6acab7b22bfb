package cloudwatch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"pgregory.net/rapid"

	"perstack-shipper/shipper/cwlocal/localtest"
	"perstack-shipper/shipper/testkit/await"
)

// ownBody encodes events as the program does.
func ownBody(group, stream string, events []types.InputLogEvent) body {
	type event struct {
		Timestamp int64  `json:"timestamp"`
		Message   string `json:"message"`
	}
	v := struct {
		Events []event `json:"logEvents"`
		Group  string  `json:"logGroupName"`
		Stream string  `json:"logStreamName"`
	}{Group: group, Stream: stream, Events: []event{}}
	for _, e := range events {
		v.Events = append(v.Events, event{*e.Timestamp, *e.Message})
	}
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return body{bytes.NewReader(data)}
}

// TestPutSendsWhatTheSDKWouldHaveSent compares the request with our body, decoded, to the one that
// the SDK sends for the same batch: same address, operation and content.
func TestPutSendsWhatTheSDKWouldHaveSent(t *testing.T) {
	got := make(chan request, 1)
	s := serve(t, func(w http.ResponseWriter, r request) {
		got <- r
		w.Write([]byte("{}"))
	})
	c := newClient(t, s.URL)
	receive := func() request { return await.Receive(t, "the put", got) }
	rapid.Check(t, func(t *rapid.T) {
		stream := rapid.StringMatching(`[^:*]{1,30}`).Draw(t, "stream")
		events := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) types.InputLogEvent {
			return types.InputLogEvent{
				Timestamp: aws.Int64(rapid.Int64Min(0).Draw(t, "time")),
				Message:   aws.String(strings.ToValidUTF8(rapid.StringN(1, 200, -1).Draw(t, "message"), "\uFFFD")),
			}
		}), 1, 20).Draw(t, "events")

		if v, err := c.Put(context.Background(), stream, ownBody(c.group, stream, events)); err != nil || !v.Clean() {
			t.Fatalf("put: %v %v", v, err)
		}
		ours := receive()
		if _, err := c.api.PutLogEvents(context.Background(), &cloudwatchlogs.PutLogEventsInput{
			LogGroupName: &c.group, LogStreamName: &stream, LogEvents: events,
		}); err != nil {
			t.Fatal(err)
		}
		theirs := receive()

		var a, b any
		if err := json.Unmarshal(ours.body, &a); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(theirs.body, &b); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("ours: %s\ntheirs: %s", ours.body, theirs.body)
		}
		if ours.ContentLength != int64(len(ours.body)) || len(ours.TransferEncoding) > 0 {
			t.Fatalf("Content-Length %d, %v, for %d bytes", ours.ContentLength, ours.TransferEncoding, len(ours.body))
		}
		for _, h := range []string{"Content-Type", "X-Amz-Target", "User-Agent", "Accept-Encoding"} {
			if x, y := ours.Header.Get(h), theirs.Header.Get(h); x != y {
				t.Fatalf("%s: %q, the SDK's: %q", h, x, y)
			}
		}
		if ours.Method != theirs.Method || ours.URL.String() != theirs.URL.String() || ours.Host != theirs.Host {
			t.Fatalf("%s %s%s, the SDK's: %s %s%s", ours.Method, ours.Host, ours.URL, theirs.Method, theirs.Host, theirs.URL)
		}
	})
}

// TestPutIsSigned verifies the signature over our body with the SDK's signer.
func TestPutIsSigned(t *testing.T) {
	got := make(chan request, 1)
	s := serve(t, func(w http.ResponseWriter, r request) {
		got <- r
		w.Write([]byte("{}"))
	})
	t.Setenv("AWS_SESSION_TOKEN", "session/token+1")
	c := newClient(t, s.URL)
	b := bodyOf("a line \u2028 with \"quotes\"")
	if _, err := b.Seek(7, 0); err != nil { // Put seeks to the start
		t.Fatal(err)
	}
	if _, err := c.Put(context.Background(), "job", b); err != nil {
		t.Fatal(err)
	}
	r := await.Receive(t, "the put", got)

	sum := sha256.Sum256(r.body)
	if signatureOf(t, r, sum[:]) != r.Header.Get("Authorization") {
		t.Fatalf("the signature %q does not match the body %q", r.Header.Get("Authorization"), r.body)
	}
	if r.Header.Get("X-Amz-Security-Token") != "session/token+1" {
		t.Error("no session token")
	}
	sum[0]++
	if signatureOf(t, r, sum[:]) == r.Header.Get("Authorization") {
		t.Fatal("the signature is valid for any body")
	}

	// A body that knows its hash is not hashed again: the signature covers the hash that it states.
	if _, err := c.Put(context.Background(), "job", hashed{b, sum[:]}); err != nil {
		t.Fatal(err)
	}
	if r := await.Receive(t, "the second put", got); signatureOf(t, r, sum[:]) != r.Header.Get("Authorization") {
		t.Fatalf("the signature %q does not cover the hash that the body states", r.Header.Get("Authorization"))
	}
}

// hashed is a body that knows its hash.
type hashed struct {
	Body
	sum []byte
}

func (h hashed) SHA256() []byte { return h.sum }

// signatureOf computes the Authorization header that r should have for a body with the SHA-256 sum.
func signatureOf(t *testing.T, r request, sum []byte) string {
	t.Helper()
	keys := aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", SessionToken: "session/token+1"}
	authorization, err := localtest.Authorization(r.Request, sum, keys)
	if err != nil {
		t.Fatal(err)
	}
	return authorization
}

func TestVerdict(t *testing.T) {
	for _, tc := range []struct {
		answer string
		want   Verdict
		clean  bool
	}{
		{`{}`, Verdict{OldEnd: -1, ExpiredEnd: -1, NewStart: -1}, true},
		{`{"nextSequenceToken":"495"}`, Verdict{OldEnd: -1, ExpiredEnd: -1, NewStart: -1}, true},
		{`{"rejectedLogEventsInfo":{"tooOldLogEventEndIndex":3}}`, Verdict{OldEnd: 3, ExpiredEnd: -1, NewStart: -1}, false},
		{`{"rejectedLogEventsInfo":{"tooNewLogEventStartIndex":0}}`, Verdict{OldEnd: -1, ExpiredEnd: -1, NewStart: 0}, false},
		{`{"rejectedLogEventsInfo":{"expiredLogEventEndIndex":2,"tooOldLogEventEndIndex":1,"tooNewLogEventStartIndex":5}}`,
			Verdict{OldEnd: 1, ExpiredEnd: 2, NewStart: 5}, false},
	} {
		s := serve(t, func(w http.ResponseWriter, r request) { w.Write([]byte(tc.answer)) })
		got, err := newClient(t, s.URL).Put(context.Background(), "job", bodyOf("x"))
		if err != nil || got != tc.want || got.Clean() != tc.clean {
			t.Errorf("%s: %+v, clean %t, %v; want %+v", tc.answer, got, got.Clean(), err, tc.want)
		}
	}
}

// TestPutNoticesAnotherSDK checks that Put fails if the SDK stops building requests as Put expects.
// A batch that was not sent must not count as stored.
func TestPutNoticesAnotherSDK(t *testing.T) {
	if err := new(source).replaceBody(middleware.NewStack("empty", smithyhttp.NewStackRequest)); err == nil {
		t.Error("a stack without the serializer is accepted")
	}

	s := serve(t, func(w http.ResponseWriter, r request) { w.Write([]byte("{}")) })
	c := newClient(t, s.URL)
	c.api = cloudwatchlogs.New(c.api.Options(), cloudwatchlogs.WithAPIOptions(func(stack *middleware.Stack) error {
		return stack.Serialize.Add(middleware.SerializeMiddlewareFunc("another body", func(
			ctx context.Context, in middleware.SerializeInput, next middleware.SerializeHandler,
		) (out middleware.SerializeOutput, md middleware.Metadata, err error) {
			if in.Request, err = in.Request.(*smithyhttp.Request).SetStream(strings.NewReader(`{"logEvents":[]}`)); err != nil {
				return out, md, err
			}
			return next.HandleSerialize(ctx, in)
		}), middleware.After)
	}))
	if _, err := c.Put(context.Background(), "job", bodyOf("x")); !errors.Is(err, errShort) || Classify(err) != Retry {
		t.Errorf("with a body that is not ours: %v, %v", Classify(err), err)
	}
}

// TestPutOfABrokenBody checks that an unreadable body is the caller's error and that nothing is
// sent.
func TestPutOfABrokenBody(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r request) { t.Errorf("sent %q", r.body) })
	broken := errors.New("the disk is gone")
	_, err := newClient(t, s.URL).Put(context.Background(), "job", brokenBody{bodyOf("x"), broken})
	if !errors.Is(err, broken) || Ambiguous(err) {
		t.Fatalf("%v", err)
	}
}

type brokenBody struct {
	body
	err error
}

func (b brokenBody) Read([]byte) (int, error)         { return 0, b.err }
func (b brokenBody) WriteTo(io.Writer) (int64, error) { return 0, b.err }
