package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"go.uber.org/zap"

	"perstack-shipper/config"
	"perstack-shipper/shipper/audit"
	"perstack-shipper/shipper/readback"
	"perstack-shipper/shipper/terminal"
)

// runUsage prints on stdout what jobs took. On stderr it says where events and seals disagree, and
// which figures are too low because events were left out.
func runUsage(options *config.Tokens, log *zap.Logger) int {
	ctx := context.Background()
	client, err := connectReader(ctx, options.Target, log)
	if err != nil {
		return fail(err)
	}
	defer client.Close()

	usage, err := audit.CountUsage(ctx, client, audit.UsageQuery{
		Jobs: options.Jobs, Since: options.Since.Time, Until: options.Until.Time,
		Read: readback.Query{StreamTemplate: options.LogStream, Search: options.Search},
	})
	if err != nil {
		what := fmt.Sprintf("since %s", options.Since.UTC().Format(time.RFC3339))
		if len(options.Jobs) > 0 {
			what = fmt.Sprintf("of the job %q", strings.Join(options.Jobs, `", "`))
		}
		target := client.Target()
		return unread(client, err, fmt.Sprintf("nothing %s is in log group %q in %s: check --job, --since and --log-stream",
			what, target.Group, target.Region))
	}
	out := bufio.NewWriter(os.Stdout)
	switch {
	case options.JSON:
		err = usage.WriteJSON(out)
	case options.CSV:
		err = usage.WriteCSV(out, audit.By(options.By))
	default:
		err = usage.Write(out, audit.By(options.By), terminal.Columns(os.Stdout))
	}
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return fail(err)
	}
	for _, short := range usage.LeftOut {
		log.Warn(short)
	}
	for _, difference := range usage.Differences {
		log.Warn(difference)
	}
	if len(usage.Differences) > 0 {
		return exitFailure
	}
	return exitOK
}
