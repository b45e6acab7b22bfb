// Package sigv4 tells tests how a call should be signed, by the SDK's own signer: the endpoint takes any signature, and the service does not.
package sigv4

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

// Authorization returns the header of that name that r, which a server got, should have, were it signed with keys for a body of the SHA-256 sum. Time and
// signed headers are those that r says. The region is eu-west-1.
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
