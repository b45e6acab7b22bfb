package localtest

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Authorization returns the Authorization header that r, a request received by a server, should
// have if it was signed with keys for a body with the SHA-256 sum. The endpoint accepts any
// signature, but the service does not. The SDK's own signer computes the header, with the time and
// the signed headers of r, for eu-west-1.
func Authorization(r *http.Request, sum []byte, keys aws.Credentials) (string, error) {
	_, rest, _ := strings.Cut(r.Header.Get("Authorization"), "SignedHeaders=")
	names, _, _ := strings.Cut(rest, ",")
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	again, also := http.NewRequest(r.Method, "http://"+r.Host+r.URL.String(), nil)
	if err := errors.Join(err, also); err != nil {
		return "", err
	}
	again.ContentLength = r.ContentLength
	for name := range strings.SplitSeq(names, ";") {
		if name != "host" && name != "content-length" {
			again.Header[http.CanonicalHeaderKey(name)] = r.Header.Values(name)
		}
	}
	err = v4.NewSigner().SignHTTP(context.Background(), keys, again, hex.EncodeToString(sum), "logs", "eu-west-1", at)
	return again.Header.Get("Authorization"), err
}
