package cwlocal

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestGetCallerIdentity checks that a signed caller gets its identity and that others are refused
// as by STS. Answers carry the time of the endpoint's clock.
func TestGetCallerIdentity(t *testing.T) {
	refused := false
	clock := time.Date(2027, 3, 4, 5, 6, 7, 0, time.UTC)
	e := start(t, Options{
		Now: func() time.Time { return clock },
		Intercept: func(c *Call) Fault {
			if refused && c.Action == "GetCallerIdentity" {
				return Fault{Code: "ExpiredTokenException", Message: "expired"}
			}
			return Fault{}
		},
	})
	ask := func(body, authorization string) (status int, answer, date string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
		r.Header.Set("Authorization", authorization)
		r.Close = true
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(data), resp.Header.Get("Date")
	}
	const question, signed = "Action=GetCallerIdentity&Version=2011-06-15", "AWS4-HMAC-SHA256 Credential=x"
	status, answer, date := ask(question, signed)
	if status != 200 || date != clock.Format(http.TimeFormat) ||
		!strings.Contains(answer, "<Account>"+account+"</Account>") || !strings.Contains(answer, "<Arn>"+callerARN+"</Arn>") {
		t.Errorf("%d, dated %s: %s", status, date, answer)
	}
	if status, answer, _ := ask(question, ""); status != 403 || !strings.Contains(answer, "<Code>MissingAuthenticationToken</Code>") {
		t.Errorf("unsigned: %d %s", status, answer)
	}
	if status, answer, _ := ask("Action=AssumeRole", signed); status != 400 || !strings.Contains(answer, "<Code>InvalidAction</Code>") {
		t.Errorf("another action: %d %s", status, answer)
	}
	refused = true
	if status, answer, _ := ask(question, signed); status != 400 || !strings.Contains(answer, "<Code>ExpiredToken</Code>") {
		t.Errorf("refused: %d %s", status, answer)
	}
	if calls := e.Stats().Calls["GetCallerIdentity"]; calls != 3 {
		t.Errorf("%d calls", calls)
	}
}
