package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	"perstack-shipper/config"
	"perstack-shipper/shipper/audit/proof"
	"perstack-shipper/shipper/audit/report"
	"perstack-shipper/shipper/readback"
	"perstack-shipper/shipper/terminal"
)

// runReport writes a page about a job to stdout. As with logs, signals simply end it.
func runReport(options *config.Report, log *zap.Logger) int {
	ctx := context.Background()
	if terminal.Is(os.Stdout) {
		return fail(config.Usage("", "report writes HTML to stdout, which is a terminal: write it to a file, as in >job.html"))
	}
	client, err := connectReader(ctx, options.Target, log)
	if err != nil {
		return fail(err)
	}
	defer client.Close()

	query := heldQuery(&options.Held)
	proved, err := proof.Verify(ctx, client, proof.Verification{
		Jobs: []string{options.Job}, StreamTemplate: options.LogStream, Search: options.Search, Settle: options.Settle, Unmask: options.Unmask,
		Memory: verifyMemory,
	}, nil)
	if err != nil {
		return failToRead(client, query, err)
	}
	page := report.New(options.Job)
	query.Stderr = true
	_, err = readback.Read(ctx, client, query, page)
	if _, damaged := errors.AsType[*readback.DamageError](err); err != nil && !damaged {
		return failToRead(client, query, err)
	}
	target := client.Target()
	out := bufio.NewWriterSize(os.Stdout, 64<<10)
	err = page.Write(out, report.Head{
		Job: options.Job, Group: target.Group, Region: target.Region, Proof: proved.Jobs[0], Written: time.Now(), Version: versionName(),
	})
	if err = errors.Join(err, out.Flush()); err != nil {
		return fail(fmt.Errorf("write the report: %w", err))
	}
	if proved.Verdict == proof.NotComplete {
		log.Warn("the job is not complete; the report says what is missing or altered")
		return exitFailure
	}
	return exitOK
}
