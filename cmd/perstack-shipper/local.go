package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"perstack-shipper/config"
	"perstack-shipper/shipper/cwlocal"
)

// localRegion is the Region in the hint that local prints. The endpoint accepts any, but the SDK
// needs one.
const localRegion = "us-east-1"

// runLocal serves a CloudWatch Logs endpoint until SIGINT or SIGTERM.
func runLocal(options *config.Local) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	server, err := cwlocal.New(cwlocal.Options{Dir: options.Dir, AllowUnsigned: true})
	if err != nil {
		return fail(config.Usage("--dir", "%v", err))
	}
	url, wait, err := cwlocal.Listen(ctx, options.Listen, server)
	if errors.Is(err, syscall.EADDRINUSE) {
		err = config.Usage("--listen", "%s is in use: stop what listens there, or use port 0 for a free one", options.Listen)
	}
	if err != nil {
		return fail(err)
	}

	kept := "in memory only"
	if options.Dir != "" {
		kept = "in " + options.Dir
	}
	fmt.Fprintf(os.Stderr, `CloudWatch Logs endpoint at %s, kept %s, until Ctrl-C. In another shell:
  export AWS_ENDPOINT_URL=%s AWS_REGION=%s AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local
  %s --log-group /perstack/demo <events.jsonl
`, url, kept, url, localRegion, config.Program)

	if err := errors.Join(wait(), server.Close()); err != nil {
		return fail(fmt.Errorf("the endpoint at %s: %w", url, err))
	}
	return exitOK
}
