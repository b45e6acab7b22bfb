package cloudwatch

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const loggingRole = "arn:aws:iam::444455556666:role/perstack-logging"

// serveSTS starts an STS for roles that answers each call with answer.
func serveSTS(t *testing.T, answer func(w http.ResponseWriter, r *http.Request, form url.Values)) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client went away
		}
		form, err := url.ParseQuery(string(body))
		if err != nil {
			t.Error(err)
		}
		answer(w, r, form)
	}))
	t.Cleanup(s.Close)
	t.Setenv("AWS_ENDPOINT_URL_STS", s.URL)
}

// giveRole answers with the keys of an assumed role.
func giveRole(w io.Writer, action, key string) {
	fmt.Fprintf(w, `<%[1]sResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><%[1]sResult><Credentials><AccessKeyId>%[2]s</AccessKeyId>
		<SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>%[3]s</Expiration></Credentials>
		<AssumedRoleUser><Arn>arn:aws:sts::444455556666:assumed-role/perstack-logging/x</Arn><AssumedRoleId>A:x</AssumedRoleId></AssumedRoleUser>
		</%[1]sResult></%[1]sResponse>`, action, key, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
}

// TestRoleIsAssumed checks that the role is assumed once, with the credentials at hand, and again
// once its keys are refused.
func TestRoleIsAssumed(t *testing.T) {
	var asked atomic.Int64
	serveSTS(t, func(w http.ResponseWriter, r *http.Request, form url.Values) {
		n := asked.Add(1)
		if form.Get("Action") != "AssumeRole" || form.Get("RoleArn") != loggingRole || form.Get("ExternalId") != "perstack-prod" ||
			!strings.HasPrefix(form.Get("RoleSessionName"), "perstack-shipper@") || !strings.Contains(r.Header.Get("Authorization"), "Credential=AKIDEXAMPLE/") {
			t.Errorf("STS was asked %v as %s", form, r.Header.Get("Authorization"))
		}
		giveRole(w, "AssumeRole", fmt.Sprintf("ROLE%d", n))
	})
	c := newClient(t, refusing(t, "ROLE2", "ExpiredTokenException").URL, func(o *Options) {
		o.RoleARN, o.ExternalID = loggingRole, "perstack-prod"
	})
	for range 2 {
		if _, err := c.Put(context.Background(), "job", bodyOf("x")); Classify(err) != Credentials {
			t.Fatalf("%v, %v", Classify(err), err)
		}
	}
	if asked.Load() != 1 {
		t.Errorf("the role was assumed %d times for two calls", asked.Load())
	}
	c.InvalidateCredentials()
	if _, err := c.Put(context.Background(), "job", bodyOf("x")); err != nil {
		t.Fatal(err)
	}
	if got := c.Target().Account; got != "444455556666" {
		t.Errorf("the account is %q", got)
	}
}

func TestRoleCannotBeAssumed(t *testing.T) {
	refused := func(w http.ResponseWriter, _ *http.Request, _ url.Values) {
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, `<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>User: u is not authorized to perform: sts:AssumeRole</Message></Error></ErrorResponse>`)
	}
	for _, tc := range []struct {
		name, want, remedy string
		prepare            func(t *testing.T)
	}{
		{"refused", "the role " + loggingRole + " (--role-arn) cannot be assumed (AccessDenied: User: u is not", "trust policy", func(t *testing.T) { serveSTS(t, refused) }},
		{"nobody answers", "cannot be assumed, because STS cannot be reached (", "VPC endpoint for sts", func(t *testing.T) { t.Setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1") }},
		{"no credentials", "no AWS credentials (", "use a task role", func(t *testing.T) { without(t, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newClient(t, "http://127.0.0.1:1", func(o *Options) {
				o.RoleARN = loggingRole
				tc.prepare(t)
			})
			_, err := c.Put(context.Background(), "job", bodyOf("x"))
			if Classify(err) != Credentials || !Unreachable(err) {
				t.Fatalf("%v, %v", Classify(err), err)
			}
			if line := c.Explain(err, "PutLogEvents", "job"); !strings.Contains(line, tc.want) || !strings.Contains(line, tc.remedy) {
				t.Errorf("explained as %q", line)
			}
		})
	}
}
