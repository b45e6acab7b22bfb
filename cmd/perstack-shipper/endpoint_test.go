package main

// This file holds the endpoint of a script, and the ways in which a script can make it fail.

import (
	"bytes"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"perstack-shipper/shipper/cwlocal"
	"perstack-shipper/shipper/cwlocal/localtest"
	"perstack-shipper/shipper/testkit"
)

// endpointKey is the key of a script's endpoint, a *testkit.Endpoint.
type endpointKey struct{}

// clockKey is the key of how far the clock of a script's endpoint is ahead in nanoseconds, an
// *atomic.Int64.
type clockKey struct{}

// serve starts the endpoint of a script. It ends with the script.
func serve(env *testscript.Env) error {
	var ahead atomic.Int64
	env.Values[clockKey{}] = &ahead
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	e, err := testkit.Serve(testkit.Options{Options: cwlocal.Options{Now: now}})
	if err != nil {
		return err
	}
	env.Values[endpointKey{}] = e
	for _, v := range e.Env() {
		// A script has a PATH with the program, and a HOME in which it may create AWS files.
		name, value, _ := strings.Cut(v, "=")
		if name != "PATH" && name != "AWS_CONFIG_FILE" && name != "AWS_SHARED_CREDENTIALS_FILE" {
			env.Setenv(name, value)
		}
	}
	env.Defer(func() {
		if err := e.Close(); err != nil {
			env.T().Fatal(err)
		}
	})
	return nil
}

// writeStored implements the command stored.
func writeStored(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: stored GROUP STREAM FILE")
	}
	server := ts.Value(endpointKey{}).(*testkit.Endpoint).Server
	events := server.Events(args[0], args[1])
	if len(events) == 0 {
		ts.Fatalf("stream %q of group %q is empty; the group has %q", args[1], args[0], server.Streams(args[0]))
	}
	var text strings.Builder
	for _, e := range events {
		text.WriteString(e.Message + "\n")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(text.String()), 0o600))
}

// failCalls implements the command endpoint:
//
//	works
//	throttles|hangs|blanks|denies [ACTION...]
//	                  calls of these actions; without one, of PutLogEvents
//	expires           all calls: the credentials have expired
//	refuses TEXT      puts with TEXT in the body, as the service refuses an invalid event
//	clock DURATION    sets the endpoint's clock ahead, or behind
//
// blanks answers 200 without a body, as a proxy in between may.
func failCalls(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 || (args[0] == "refuses" || args[0] == "clock") && len(args) != 2 {
		ts.Fatalf("usage: endpoint works | throttles|hangs|blanks|denies [ACTION...] | expires | refuses TEXT | clock DURATION")
	}
	if args[0] == "clock" {
		ahead, err := time.ParseDuration(args[1])
		ts.Check(err)
		ts.Value(clockKey{}).(*atomic.Int64).Store(int64(ahead))
		return
	}
	fault := cwlocal.Fault{}
	text, actions := "", args[1:]
	switch args[0] {
	case "works":
	case "throttles":
		fault = localtest.Throttle()
	case "hangs":
		fault.Hang = true
	case "blanks":
		fault = cwlocal.Fault{Status: http.StatusOK, Body: []byte{}, Header: http.Header{"Content-Type": nil, "X-Amzn-Requestid": nil, "X-Amzn-Errortype": nil}}
	case "denies":
		fault.Code, fault.Message = "AccessDeniedException", "not authorized"
	case "expires":
		fault.Code, fault.Message = "ExpiredTokenException", "The security token included in the request is expired"
	case "refuses":
		fault.Code, fault.Message, text, actions = "InvalidParameterException", "Log event is invalid", args[1], nil
	default:
		ts.Fatalf("the endpoint cannot be told %q", args[0])
	}
	if len(actions) == 0 {
		actions = []string{"PutLogEvents"}
	}
	ts.Value(endpointKey{}).(*testkit.Endpoint).Fail(func(call *cwlocal.Call) cwlocal.Fault {
		if args[0] != "expires" && !slices.Contains(actions, call.Action) || !bytes.Contains(call.Body, []byte(text)) {
			return cwlocal.Fault{}
		}
		return fault
	})
}
