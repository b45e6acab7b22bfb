package cloudwatch

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
)

// TestExplain compares complete explanations.
func TestExplain(t *testing.T) {
	t.Setenv("AWS_ACCOUNT_ID", "111122223333")
	for _, tc := range []struct {
		name   string
		status int
		code   string // "": an HTML page
		call   func(*Client) error
		action string
		want   string
	}{
		{"stream denied", 400, "AccessDeniedException", func(c *Client) error { return c.CreateStream(context.Background(), "uo5p") }, "logs:CreateLogStream",
			`log group "/perstack/test" in eu-west-1: AccessDenied on logs:CreateLogStream for arn:aws:logs:eu-west-1:111122223333:log-group:/perstack/test:log-stream:uo5p (said so); allow it (deploy/iam-policy.json) or create the stream`},
		{"group denied", 400, "AccessDeniedException", func(c *Client) error { _, err := c.CreateGroup(context.Background()); return err }, "",
			`log group "/perstack/test" in eu-west-1: AccessDenied on logs:CreateLogGroup for arn:aws:logs:eu-west-1:111122223333:log-group:/perstack/test (said so); allow it (deploy/iam-policy.json) or create the group`},
		{"put throttled", 400, "ThrottlingException", nil, "PutLogEvents",
			`log group "/perstack/test" in eu-west-1: Throttling on logs:PutLogEvents for stream "uo5p" (said so); this usually passes; if it lasts, request a higher quota for logs:PutLogEvents in Service Quotas`},
		{"stream missing", 400, "ResourceNotFoundException", nil, "",
			`log group "/perstack/test" in eu-west-1: ResourceNotFound on logs:PutLogEvents for stream "uo5p" (said so); it was just created; if this lasts, something deletes it`},
		{"batch refused", 400, "InvalidParameterException", nil, "",
			`log group "/perstack/test" in eu-west-1: InvalidParameter on logs:PutLogEvents for stream "uo5p" (said so); the service does not accept the batch or an event in it`},
		{"too large", 413, "", nil, "",
			`log group "/perstack/test" in eu-west-1: HTTP 413 Request Entity Too Large on logs:PutLogEvents for stream "uo5p"; the service does not accept the batch or an event in it`},
		{"service broken", 503, "", nil, "",
			`log group "/perstack/test" in eu-west-1: HTTP 503 Service Unavailable on logs:PutLogEvents for stream "uo5p"; this usually passes`},
		{"a proxy forbids", 403, "", nil, "",
			`log group "/perstack/test" in eu-west-1: HTTP 403 Forbidden on logs:PutLogEvents for arn:aws:logs:eu-west-1:111122223333:log-group:/perstack/test:log-stream:uo5p; allow it (deploy/iam-policy.json); the answer has no AWS error code, so a proxy may have refused: check HTTPS_PROXY and NO_PROXY`},
		{"another server", 404, "", nil, "",
			`log group "/perstack/test" in eu-west-1: ENDPOINT is not CloudWatch Logs: it answered HTTP 404 Not Found on logs:PutLogEvents for stream "uo5p"; check --endpoint-url and the proxy`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, r request) {
				if tc.code == "" {
					w.WriteHeader(tc.status)
					w.Write([]byte("<html>\nno\n</html>"))
					return
				}
				fail(w, tc.status, tc.code, "said\nso")
			})
			c := newClient(t, s.URL)
			if tc.call == nil {
				tc.call = func(c *Client) error {
					_, err := c.Put(context.Background(), "uo5p", bodyOf("x"))
					return err
				}
			}
			stream := "uo5p"
			if strings.Contains(tc.name, "group") {
				stream = ""
			}
			if got, want := c.Explain(tc.call(c), tc.action, stream), strings.Replace(tc.want, "ENDPOINT", s.URL, 1); got != want {
				t.Errorf("\n got %s\nwant %s", got, want)
			}
		})
	}
}

// TestExplainIsOneLine checks that text from the service or another server neither breaks the line
// nor floods it.
func TestExplainIsOneLine(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r request) {
		fail(w, 400, "InvalidParameterException", "\x1b[31mred\r\n\u2028é"+strings.Repeat("é", 5000))
	})
	c := newClient(t, s.URL)
	_, err := c.Put(context.Background(), "job\x1b", bodyOf("x"))
	line := c.Explain(err, "PutLogEvents", "job\x1b")
	if strings.ContainsAny(line, "\x1b\r\n\u2028") || len(line) > 720 || strings.Contains(line, "\uFFFD") || !strings.Contains(line, "red") {
		t.Errorf("%d bytes: %q", len(line), line)
	}
	if got := c.Explain(nil, "PutLogEvents", "job"); got != "" {
		t.Errorf("no error: %q", got)
	}
	if got := c.Explain(errors.New("something\nelse"), "PutLogEvents", "job"); !strings.Contains(got, "something else") {
		t.Errorf("%q", got)
	}
}
