package main

import (
	"context"
	"fmt"
	"os"

	"go.uber.org/zap"

	"perstack-shipper/config"
	"perstack-shipper/shipper/readback"
)

// runLogs prints a job's original lines on stdout. Signals and a closed stdout end it as they end cat: it has nothing
// to tidy up.
func runLogs(options *config.Logs, log *zap.Logger) int {
	ctx := context.Background()
	client, err := connectReader(ctx, options.Target, log)
	if err != nil {
		return fail(err)
	}
	defer client.Close()

	report, err := readback.Lines(ctx, client, readback.Query{
		Job:            options.Job,
		Run:            options.Run,
		Types:          options.Types,
		Stderr:         options.Stderr,
		StreamTemplate: options.LogStream,
		Streams:        options.Streams,
		Search:         options.Search,
		Unmask:         options.Unmask,
		Wait:           options.Wait,
	}, os.Stdout)
	log.Debug("read back",
		zap.Int64("lines", report.Lines), zap.Int64("bytes", report.Bytes), zap.Int64("joined", report.Joined),
		zap.Int64("repeats", report.Repeats), zap.Int64("foreign", report.Foreign), zap.Int("inputs", report.Inputs),
		zap.Int64("missing", report.Missing), zap.Strings("streams", report.Streams), zap.Bool("ended", report.Ended))
	if report.Rejected > 0 {
		log.Warn("some lines are not there, because CloudWatch refused them when they were shipped; the reject file in the journal has them",
			zap.Int64("lines", report.Rejected))
	}

	if err != nil {
		target := client.Target()
		return unread(client, err, fmt.Sprintf("nothing of the job %q is in log group %q in %s: check --job, --run and --log-stream, "+
			"or wait for what was just shipped with --wait 30s", options.Job, target.Group, target.Region))
	}
	if report.Lines == 0 && (len(options.Types) > 0 || options.Run != "") {
		log.Warn("the job is there, but no line of it is what was asked for; check --type and --run",
			zap.Strings("type", options.Types), zap.String("run", options.Run))
	}
	return exitOK
}
