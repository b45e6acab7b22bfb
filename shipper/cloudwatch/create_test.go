package cloudwatch

import (
	"context"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestCreateStream(t *testing.T) {
	for _, tc := range []struct {
		code string
		want Class
	}{
		{"", Accepted},
		{"ResourceAlreadyExistsException", Accepted},
		{"ResourceNotFoundException", Missing},
		{"AccessDeniedException", Denied},
		{"ThrottlingException", Throttled},
	} {
		var got request
		s := serve(t, func(w http.ResponseWriter, r request) {
			got = r
			if tc.code != "" {
				fail(w, 400, tc.code, "said so")
			}
		})
		err := newClient(t, s.URL).CreateStream(context.Background(), "a/b")
		if Classify(err) != tc.want || (err == nil) != (tc.want == Accepted) {
			t.Errorf("%s: %v, %v", tc.code, Classify(err), err)
		}
		if want := map[string]any{"logGroupName": "/perstack/test", "logStreamName": "a/b"}; got.target != "CreateLogStream" || !reflect.DeepEqual(got.json(t), want) {
			t.Errorf("%s %s", got.target, got.body)
		}
	}
}

// TestCreateGroup checks what a group is created with, and what happens when part of it is refused.
func TestCreateGroup(t *testing.T) {
	key, tags := "arn:aws:kms:eu-west-1:111122223333:key/1", map[string]string{"team": "agents"}
	for _, tc := range []struct {
		name    string
		refuse  func(r map[string]any, target string) string // error code or ""
		want    Class
		calls   []string
		warning string
	}{
		{"all of it", func(map[string]any, string) string { return "" }, Accepted, []string{"CreateLogGroup", "PutRetentionPolicy"}, ""},
		{"exists", func(r map[string]any, target string) string { return "ResourceAlreadyExistsException" }, Accepted, []string{"CreateLogGroup"}, ""},
		{"denied", func(r map[string]any, target string) string { return "AccessDeniedException" }, Denied, []string{"CreateLogGroup", "CreateLogGroup"}, ""},
		{"key refused", func(r map[string]any, target string) string {
			if r["kmsKeyId"] != nil {
				return "InvalidParameterException"
			}
			return ""
		}, Refused, []string{"CreateLogGroup", "CreateLogGroup"}, ""},
		{"tags denied", func(r map[string]any, target string) string {
			if r["tags"] != nil {
				return "AccessDeniedException"
			}
			return ""
		}, Accepted, []string{"CreateLogGroup", "CreateLogGroup", "PutRetentionPolicy"}, "logs:TagResource"},
		{"created by another meanwhile", func(r map[string]any, target string) string {
			if r["tags"] != nil {
				return "AccessDeniedException"
			}
			return "ResourceAlreadyExistsException"
		}, Accepted, []string{"CreateLogGroup", "CreateLogGroup"}, ""},
		{"throttled", func(r map[string]any, target string) string { return "ThrottlingException" }, Throttled, []string{"CreateLogGroup"}, ""},
		{"retention denied", func(r map[string]any, target string) string {
			if target == "PutRetentionPolicy" {
				return "AccessDeniedException"
			}
			return ""
		}, Accepted, []string{"CreateLogGroup", "PutRetentionPolicy"}, "aws logs put-retention-policy --region eu-west-1 --log-group-name /perstack/test --retention-in-days 30"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var calls []string
			s := serve(t, func(w http.ResponseWriter, r request) {
				calls = append(calls, r.target)
				in := r.json(t)
				if r.target == "CreateLogGroup" && in["kmsKeyId"] != key {
					t.Errorf("created without the key: %s", r.body)
				}
				if r.target == "PutRetentionPolicy" && in["retentionInDays"] != 30.0 {
					t.Errorf("retention: %s", r.body)
				}
				if code := tc.refuse(in, r.target); code != "" {
					fail(w, 400, code, "said so")
				}
			})
			core, logged := observer.New(zap.WarnLevel)
			c := newClient(t, s.URL, func(o *Options) {
				o.KMSKeyID, o.Tags, o.RetentionDays, o.Logger = key, tags, 30, zap.New(core)
			})
			created, err := c.CreateGroup(context.Background())
			if created && c.RetentionDays() > 0 {
				if err := c.SetRetention(context.Background()); err != nil {
					c.WarnOfRetention(err)
				}
			}
			if Classify(err) != tc.want || (err == nil) != (tc.want == Accepted) {
				t.Errorf("%v, want %v: %v", Classify(err), tc.want, err)
			}
			if !slices.Equal(calls, tc.calls) {
				t.Errorf("calls %v, want %v", calls, tc.calls)
			}
			if tc.warning == "" && logged.Len() > 0 || tc.warning != "" && (logged.Len() != 1 || !strings.Contains(logged.All()[0].Message, tc.warning)) {
				t.Errorf("logged %v, want %q", logged.All(), tc.warning)
			}
		})
	}
}

// TestCreateGroupPlain checks that a group without options is created with nothing but its name.
func TestCreateGroupPlain(t *testing.T) {
	var got []string
	s := serve(t, func(w http.ResponseWriter, r request) { got = append(got, r.target+" "+string(r.body)) })
	if created, err := newClient(t, s.URL).CreateGroup(context.Background()); !created || err != nil {
		t.Fatal(err)
	}
	if want := []string{`CreateLogGroup {"logGroupName":"/perstack/test"}`}; !slices.Equal(got, want) {
		t.Fatalf("%q", got)
	}
}
