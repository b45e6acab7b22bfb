package cwlocal

// This file is GetCallerIdentity of STS, which shares the endpoint: `perstack-shipper check` asks
// who it is before it tries what it may do.

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// The identity of every caller.
const (
	callerARN = "arn:aws:sts::" + account + ":assumed-role/local/perstack-shipper"
	callerID  = "AROALOCAL:perstack-shipper"
)

// isQuery reports whether r is a call of STS, whose protocol is a form that names the action.
func isQuery(r *http.Request) bool {
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return r.Method == http.MethodPost && strings.TrimSpace(media) == "application/x-www-form-urlencoded"
}

type callerIdentity struct {
	XMLName   xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ GetCallerIdentityResponse"`
	ARN       string   `xml:"GetCallerIdentityResult>Arn"`
	UserID    string   `xml:"GetCallerIdentityResult>UserId"`
	Account   string   `xml:"GetCallerIdentityResult>Account"`
	RequestID string   `xml:"ResponseMetadata>RequestId"`
}

type queryError struct {
	XMLName   xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ ErrorResponse"`
	Type      string   `xml:"Error>Type"`
	Code      string   `xml:"Error>Code"`
	Message   string   `xml:"Error>Message"`
	RequestID string   `xml:"RequestId"`
}

// serveQuery answers one call of STS. Faults apply as with other calls.
func (s *Server) serveQuery(w http.ResponseWriter, r *http.Request) {
	body, release, err := s.readBody(r)
	if err != nil {
		if r.Context().Err() != nil || !errors.As(err, new(*apiError)) {
			panic(http.ErrAbortHandler) // the client has gone, so nobody would read an answer
		}
		drain(r)
		s.writeQuery(w, answer{err: asAPIError(err)}, Fault{})
		return
	}
	defer release()
	form, err := url.ParseQuery(string(body))
	call := &Call{Action: form.Get("Action"), Body: body}
	if err != nil || call.Action != "GetCallerIdentity" {
		s.writeQuery(w, answer{err: &apiError{http.StatusBadRequest, "InvalidAction", fmt.Sprintf("unknown action %q; of STS, this endpoint has only GetCallerIdentity", call.Action)}}, Fault{})
		return
	}
	leave := s.counters.enter(call)
	defer leave()
	var fault Fault
	if s.opt.Intercept != nil {
		fault = s.opt.Intercept(call)
	}
	a := s.carryOut(r.Context(), w, fault, func() answer {
		if r.Header.Get("Authorization") == "" && !s.opt.AllowUnsigned {
			return answer{err: &apiError{http.StatusForbidden, "MissingAuthenticationToken", "Request is missing Authentication Token"}}
		}
		identity, err := xml.Marshal(callerIdentity{ARN: callerARN, UserID: callerID, Account: account, RequestID: requestID()})
		if err != nil {
			return answer{err: asAPIError(err)}
		}
		return answer{body: identity}
	})
	if a != nil {
		s.writeQuery(w, *a, fault)
	}
}

// writeQuery sends an answer in XML, altered as fault asks.
func (s *Server) writeQuery(w http.ResponseWriter, a answer, fault Fault) {
	status, body := http.StatusOK, a.body
	if a.err != nil {
		status = a.err.status
		e := queryError{Type: "Sender", Code: strings.TrimSuffix(a.err.code, "Exception"), Message: a.err.message, RequestID: requestID()}
		if status >= 500 {
			e.Type = "Receiver"
		}
		var err error
		if body, err = xml.Marshal(e); err != nil {
			panic(http.ErrAbortHandler) // strings never fail to encode
		}
	}
	s.send(w, "GetCallerIdentity", status, "text/xml", body, a.err, fault)
}
