package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"go.uber.org/zap"

	"perstack-shipper/config"
	"perstack-shipper/shipper/check"
	"perstack-shipper/shipper/run"
)

// runCheck tries whether shipping would work, and prints on stdout what works and what does not.
func runCheck(options *config.Check, log *zap.Logger) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	client, err := connect(ctx, options.Target, options.Creation, log)
	if err != nil {
		return fail(err)
	}
	defer client.Close()

	var printing error
	report := struct {
		OK     bool           `json:"ok"`
		Checks []check.Result `json:"checks"`
	}{Checks: []check.Result{}}
	report.OK = check.Run(ctx, check.Options{
		Client: client, Create: options.Create, Read: options.Read,
		JournalDir:   cmp.Or(options.JournalDir, config.DefaultJournalDir()),
		JournalNamed: options.JournalDir != "", Dies: run.DiesWithContainer,
		Version: versionName(), Hostname: run.Hostname(),
	}, func(r check.Result) {
		report.Checks = append(report.Checks, r)
		if !options.JSON {
			_, err := fmt.Println(r)
			printing = errors.Join(printing, err)
		}
	})
	if options.JSON {
		printing = json.NewEncoder(os.Stdout).Encode(report)
	}
	switch {
	case printing != nil:
		return fail(printing)
	case !report.OK:
		return exitFailure
	}
	return exitOK
}
