package cloudwatch

// This file finds the proxies between this program and AWS, named by HTTPS_PROXY and NO_PROXY.

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
	return fmt.Sprintf("the proxy %s refused to connect to %s (HTTP %d %s)", e.proxy, e.to, e.status, http.StatusText(e.status))
}

// refusedByProxy turns a proxy's refusal into an error. net/http keeps only the text of its status.
func refusedByProxy(_ context.Context, proxy *url.URL, request *http.Request, answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	return &proxyError{proxy: proxy.Scheme + "://" + proxy.Host, to: request.Host, status: answer.StatusCode}
}

// diagnoseProxy describes an error that a proxy caused. It returns "" for any other error.
func diagnoseProxy(err error) (cause, remedy string) {
	if refused, ok := errors.AsType[*proxyError](err); ok {
		cause = refused.Error()
		if refused.status == http.StatusProxyAuthRequired {
			return cause, "put the user and password in HTTPS_PROXY, as in http://user:password@proxy:3128"
		}
		return cause, "allow this address in the proxy, or add it to NO_PROXY if there is a direct route"
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "proxyconnect" {
		return fmt.Sprintf("the proxy in HTTPS_PROXY cannot be reached (%s)", oneLine(op.Err.Error(), 200)),
			"check HTTPS_PROXY, or add the address of CloudWatch Logs to NO_PROXY if there is a direct route"
	}
	return "", ""
}
