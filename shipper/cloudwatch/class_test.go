package cloudwatch

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

// TestClassOfAnswers classifies what a real HTTP server answers to a put.
func TestClassOfAnswers(t *testing.T) {
	html := func(status int) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(status)
			io.WriteString(w, "<html>\r\n<head><title>sorry</title></head>\r\n</html>")
		}
	}
	code := func(status int, code string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { fail(w, status, code, "The service says so.") }
	}
	for _, tc := range []struct {
		name                   string
		answer                 func(http.ResponseWriter)
		want                   Class
		ambiguous, unreachable bool
	}{
		{"throttling", code(400, "ThrottlingException"), Throttled, false, false},
		{"throttling, short", code(400, "Throttling"), Throttled, false, false},
		{"429", html(429), Throttled, false, false},
		{"service unavailable", code(503, "ServiceUnavailableException"), Retry, false, false},
		{"503 without a code", html(503), Retry, false, false},
		{"500", code(500, "InternalFailure"), Retry, true, false},
		{"502 of a load balancer", html(502), Retry, true, false},
		{"504 of a load balancer", html(504), Retry, true, false},
		{"limit exceeded", code(400, "LimitExceededException"), Retry, false, false},
		{"operation aborted", code(400, "OperationAbortedException"), Retry, false, false},
		{"request timeout", code(400, "RequestTimeout"), Retry, false, false},
		{"408", html(408), Retry, false, false},
		{"a code of tomorrow", code(400, "MoonIsFullException"), Retry, false, false},
		{"expired token", code(400, "ExpiredTokenException"), Credentials, false, true},
		{"unrecognized client", code(400, "UnrecognizedClientException"), Credentials, false, true},
		{"invalid signature", code(400, "InvalidSignatureException"), Credentials, false, true},
		{"request expired", code(400, "RequestExpired"), Credentials, false, true},
		{"access denied", code(400, "AccessDeniedException"), Denied, false, true},
		{"403 of a proxy", html(403), Denied, false, true},
		{"not found", code(400, "ResourceNotFoundException"), Missing, false, false},
		{"404 of another server", html(404), Retry, false, true},
		{"a redirect", func(w http.ResponseWriter) { w.Header().Set("Location", "http://127.0.0.1:1/"); html(307)(w) }, Retry, false, true},
		{"200 of another server", html(200), Retry, true, true},
		{"invalid parameter", code(400, "InvalidParameterException"), Refused, false, false},
		{"serialization", code(400, "SerializationException"), Refused, false, false},
		{"413 without JSON", html(413), Refused, false, false},
		{"data already accepted", code(400, "DataAlreadyAcceptedException"), Accepted, false, false},
		{"invalid sequence token", code(400, "InvalidSequenceTokenException"), Again, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			calls := 0
			s := serve(t, func(w http.ResponseWriter, r request) { calls++; tc.answer(w) })
			_, err := newClient(t, s.URL).Put(context.Background(), "job", bodyOf("x"))
			if err == nil {
				t.Fatal("no error")
			}
			if got := Classify(err); got != tc.want {
				t.Errorf("class %v, want %v: %v", got, tc.want, err)
			}
			if got := Ambiguous(err); got != tc.ambiguous {
				t.Errorf("ambiguous %t: %v", got, err)
			}
			if got := Unreachable(err); got != tc.unreachable {
				t.Errorf("unreachable %t: %v", got, err)
			}
			if calls != 1 {
				t.Errorf("%d calls for one put", calls)
			}
		})
	}
}

// TestAnswerOfTheService checks that an answer counts as a success only if the service could have
// sent it.
func TestAnswerOfTheService(t *testing.T) {
	const service = "application/x-amz-json-1.1"
	for _, tc := range []struct {
		status                int
		contentType, id, body string
		stored, created       bool // whether a put, and a creation, succeeded
		why                   string
	}{
		{200, service, "", `{}`, true, true, ""},
		{200, service + "; charset=utf-8", "", " {} \n", true, true, ""},
		{200, "application/x-amz-json-1.0", "", `{}`, true, true, ""},
		{200, service, "8b7d12e", ``, false, true, "an empty body"},        // a creation has no result to send
		{200, "text/html; charset=utf-8", "8b7d12e", `{}`, true, true, ""}, // moto
		{200, "text/html; charset=utf-8", "8b7d12e", ``, false, true, "an empty body"},
		{200, "", "", ``, false, false, ""},
		{200, "", "", `{}`, false, false, "no content type"},
		{200, "application/json", "", `{"status":"UP"}`, false, false, `content of type "application/json"`},
		{200, "text/plain", "", `{}`, false, false, `content of type "text/plain"`},
		{200, "text/html", "", `<html>Sign in</html>`, false, false, `content of type "text/html"`},
		{200, "no type;;", "", `{}`, false, false, `content of type "no type;;"`},
		{200, service, "8b7d12e", `OK`, false, false, "a body that is not a JSON object"},
		{200, service, "8b7d12e", `[]`, false, false, "a body that is not a JSON object"},
		{200, service, "8b7d12e", `{"cut":`, false, false, ""},
		{201, service, "8b7d12e", `{}`, false, false, "a status that the service never sends"},
		{204, service, "8b7d12e", ``, false, false, "a status that the service never sends"},
		{204, "", "", ``, false, false, "a status that the service never sends"},
	} {
		s := serve(t, func(w http.ResponseWriter, r request) {
			w.Header()["Content-Type"] = nil // none, instead of what net/http would guess from the body
			if tc.contentType != "" {
				w.Header().Set("Content-Type", tc.contentType)
			}
			if tc.id != "" {
				w.Header().Set("x-amzn-RequestId", tc.id)
			}
			w.WriteHeader(tc.status)
			io.WriteString(w, tc.body)
		})
		c, ctx := newClient(t, s.URL), context.Background()
		_, put := c.Put(ctx, "job", bodyOf("x"))
		_, _, _, get := c.EventsPage(ctx, "job", Selection{}, "")
		_, _, list := c.StreamsPage(ctx, "", "")
		_, _, filter := c.FilterPage(ctx, "", "", Selection{}, "")
		_, group := c.CreateGroup(ctx)
		for action, err := range map[string]error{
			"PutLogEvents": put, "GetLogEvents": get, "DescribeLogStreams": list, "FilterLogEvents": filter,
			"CreateLogStream": c.CreateStream(ctx, "job"), "CreateLogGroup": group, "PutRetentionPolicy": c.SetRetention(ctx),
		} {
			want := tc.stored
			if strings.HasPrefix(action, "Create") || action == "PutRetentionPolicy" {
				want = tc.created
			}
			if (err == nil) != want {
				t.Errorf("%s answered by %d %q %q: %v", action, tc.status, tc.contentType, tc.body, err)
			}
			if err == nil {
				continue
			}
			line := c.Explain(err, action, "job")
			if Classify(err) != Retry || !Ambiguous(err) || !Unreachable(err) || !strings.Contains(line, tc.why) {
				t.Errorf("%s answered by %d %q %q: %v, ambiguous %t, unreachable %t: %s", action, tc.status, tc.contentType, tc.body,
					Classify(err), Ambiguous(err), Unreachable(err), line)
			}
		}
	}
}

// TestErrorKeepsItsType checks that callers can still get at the SDK's error types.
func TestErrorKeepsItsType(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r request) {
		fail(w, 400, "ResourceNotFoundException", "The specified log stream does not exist.")
	})
	_, err := newClient(t, s.URL).Put(context.Background(), "job", bodyOf("x"))
	if e, ok := errors.AsType[*types.ResourceNotFoundException](err); !ok || e.ErrorMessage() != "The specified log stream does not exist." {
		t.Fatalf("%T %v", err, err)
	}
}

func TestClassifyWithoutACall(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want Class
	}{
		{nil, Accepted},
		{errors.New("anything"), Retry},
		{context.Canceled, Stopped},
		{io.ErrUnexpectedEOF, Retry},
	} {
		if got := Classify(tc.err); got != tc.want {
			t.Errorf("%v: %v, want %v", tc.err, got, tc.want)
		}
	}
}

// TestStoppedIsNotATimeout distinguishes the end of the caller's context, which stops, from the
// attempt's timeout, which is retried.
func TestStoppedIsNotATimeout(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	read := make(chan struct{}, 2)
	s := serve(t, func(w http.ResponseWriter, r request) {
		read <- struct{}{}
		<-release
	})
	c := newClient(t, s.URL, func(o *Options) { o.AttemptTimeout = 300 * time.Millisecond })

	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-read
		cancel()
	}()
	_, err := c.Put(ctx, "job", bodyOf("x"))
	if Classify(err) != Stopped || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v, %v", Classify(err), err)
	}

	start := time.Now()
	_, err = c.Put(context.Background(), "job", bodyOf("x"))
	if Classify(err) != Retry || !Ambiguous(err) || Unreachable(err) {
		t.Errorf("timeout: %v, ambiguous %t, unreachable %t: %v", Classify(err), Ambiguous(err), Unreachable(err), err)
	}
	if d := time.Since(start); d < 250*time.Millisecond || d > 3*time.Second {
		t.Errorf("an attempt with a timeout of 300 ms took %v", d)
	}

	// The caller's deadline stops as well.
	ctx, cancel = context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err = c.Put(ctx, "job", bodyOf("x")); Classify(err) != Stopped {
		t.Errorf("the caller's deadline: %v, %v", Classify(err), err)
	}
}
