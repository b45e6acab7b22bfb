package cwlocal

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

// The SDK's own client is told who it is, and reads the error when it is refused. Answers have the date of the endpoint's clock.
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
	api := sts.New(sts.Options{
		BaseEndpoint: &e.url, Region: "eu-west-1", Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
		HTTPClient:  &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	})
	got, err := api.GetCallerIdentity(context.Background(), nil)
	if err != nil || *got.Account != account || *got.Arn != callerARN || *got.UserId != callerID {
		t.Fatalf("%+v %v", got, err)
	}
	refused = true
	_, err = api.GetCallerIdentity(context.Background(), nil)
	if api, ok := errors.AsType[smithy.APIError](err); !ok || api.ErrorCode() != "ExpiredToken" {
		t.Errorf("%v", err)
	}
	if calls := e.Stats().Calls["GetCallerIdentity"]; calls != 2 {
		t.Errorf("%d calls", calls)
	}
	r, err := http.Post(e.url, "application/x-www-form-urlencoded", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusBadRequest || r.Header.Get("Date") != clock.Format(http.TimeFormat) {
		t.Errorf("%s, dated %s", r.Status, r.Header.Get("Date"))
	}
}
