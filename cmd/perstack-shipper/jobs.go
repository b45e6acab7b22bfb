package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	"perstack-shipper/config"
	"perstack-shipper/shipper/audit"
	"perstack-shipper/shipper/terminal"
)

// runJobs lists the jobs of a period on stdout.
func runJobs(options *config.Jobs, log *zap.Logger) int {
	ctx := context.Background()
	client, err := connectReader(ctx, options.Target, log)
	if err != nil {
		return fail(err)
	}
	defer client.Close()

	now := time.Now()
	jobs, err := audit.Jobs(ctx, client, audit.JobsQuery{
		Since: options.Since.Time, Until: options.Until.Time, Failed: options.Failed, Expert: options.Expert, Now: now,
	})
	if err != nil {
		target := client.Target()
		return unread(client, err, fmt.Sprintf("nothing that was shipped since %s is in log group %q in %s: check --since and --log-group",
			options.Since.UTC().Format(time.RFC3339), target.Group, target.Region))
	}
	if options.JSON {
		return printed(0, audit.WriteJobsJSON(os.Stdout, jobs))
	}
	return printed(0, audit.WriteJobs(os.Stdout, jobs, now, terminal.Columns(os.Stdout)))
}
