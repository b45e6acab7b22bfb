package cloudwatch

// Proxies between this program and AWS, as HTTPS_PROXY and NO_PROXY name them.

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
)

// proxyError is a proxy's refusal to connect.
type proxyError struct {
	proxy, to string
	status    int
}

func (e *proxyError) Error() string {
	return fmt.Sprintf("the proxy %s does not connect to %s (HTTP %d %s)", e.proxy, e.to, e.status, http.StatusText(e.status))
}

// refusedByProxy makes an error of a proxy's answer, of which net/http keeps the words alone.
func refusedByProxy(_ context.Context, proxy *url.URL, request *http.Request, answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	return &proxyError{proxy: proxy.Scheme + "://" + proxy.Host, to: request.Host, status: answer.StatusCode}
}

// diagnoseProxy says what a proxy did, or "" where it was none.
func diagnoseProxy(err error) (cause, remedy string) {
	if refused, ok := errors.AsType[*proxyError](err); ok {
		cause = refused.Error()
		if refused.status == http.StatusProxyAuthRequired {
			return cause, "give user and password in HTTPS_PROXY, as in http://user:password@proxy:3128"
		}
		return cause, "let the proxy allow this address, or name it in NO_PROXY where there is another way"
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "proxyconnect" {
		return fmt.Sprintf("the proxy of HTTPS_PROXY cannot be reached (%s)", oneLine(op.Err.Error(), 200)),
			"check HTTPS_PROXY, or name the address of CloudWatch Logs in NO_PROXY where there is another way"
	}
	return "", ""
}
