package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"go.uber.org/zap"

	"perstack-shipper/config"
	"perstack-shipper/shipper/audit/event"
	"perstack-shipper/shipper/audit/pretty"
	"perstack-shipper/shipper/quantity"
	"perstack-shipper/shipper/readback"
	"perstack-shipper/shipper/terminal"
)

// runLogs prints a job's original lines on stdout, as they were or for people. Signals and a closed
// stdout end it as they end cat, because it has nothing to clean up.
func runLogs(options *config.Logs, log *zap.Logger) int {
	ctx := context.Background()
	client, err := connectReader(ctx, options.Target, log)
	if err != nil {
		return fail(err)
	}
	defer client.Close()

	following := readback.Following{
		Waiting: func() { log.Info("nothing of the job has arrived yet: waiting for it", zap.String("job", options.Job)) },
		Trouble: func(err error) {
			if call, ok := errors.AsType[*readback.CallError](err); ok {
				log.Warn(client.Explain(call.Err, call.Action, call.Stream)+"; reading goes on", client.LogFields(call.Err, call.Action, call.Stream)...)
			}
		},
	}
	report, err := printLogs(ctx, client, logsQuery(options), following, options)
	log.Debug("read back",
		zap.Int64("lines", report.Lines), zap.Int64("bytes", report.Bytes), zap.Int64("joined", report.Joined),
		zap.Int64("repeats", report.Repeats), zap.Int64("foreign", report.Foreign), zap.Int("inputs", report.Inputs),
		zap.Int64("missing", report.Missing), zap.Strings("streams", report.Streams), zap.Bool("ended", report.Ended))
	if report.Rejected > 0 {
		log.Warn(fmt.Sprintf("%d %s not there, because CloudWatch refused them when they were shipped; the reject file in the journal has them",
			report.Rejected, quantity.Plural(report.Rejected, "line is", "lines are")),
			zap.Int64("lines", report.Rejected))
	}

	if err != nil {
		target := client.Target()
		return unread(client, err, fmt.Sprintf("nothing of the job %q is in log group %q in %s: check --job, --run and --log-stream, "+
			"or wait for what was just shipped with --wait 30s", options.Job, target.Group, target.Region))
	}
	if report.Lines == 0 && (len(options.Types) > 0 || options.Run != "") {
		log.Warn("the job was found, but none of its lines matches; check --type and --run",
			zap.Strings("type", options.Types), zap.String("run", options.Run))
	}
	return exitOK
}

func logsQuery(options *config.Logs) readback.Query {
	types := options.Types
	if options.Errors {
		types = append(types, event.ErrorTypes()...)
	}
	return readback.Query{
		Job:            options.Job,
		Run:            options.Run,
		Types:          types,
		Since:          options.Since.Time,
		Until:          options.Until.Time,
		Stderr:         options.Stderr,
		StreamTemplate: options.LogStream,
		Streams:        options.Streams,
		Search:         options.Search,
		Unmask:         options.Unmask,
		Wait:           options.Wait,
	}
}

// printLogs prints the lines that the query selects. A pipe gets the original bytes. A terminal
// gets control characters in a visible form, so that they do not steer it.
func printLogs(ctx context.Context, src readback.Source, query readback.Query, following readback.Following, options *config.Logs) (readback.Report, error) {
	onTerminal := terminal.Is(os.Stdout)
	if options.Pretty {
		look := pretty.Options{}
		if onTerminal {
			// NO_COLOR is described at https://no-color.org.
			look.Color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
			look.Width = func() int { return terminal.Columns(os.Stdout) }
			look.Live = options.Follow && os.Getenv("TERM") != "dumb"
		}
		view := pretty.New(os.Stdout, look)
		report, err := readOrFollow(ctx, src, query, following, options.Follow, view)
		return report, errors.Join(err, view.Close())
	}
	var out io.Writer = os.Stdout
	if onTerminal {
		visible := &terminal.Writer{W: os.Stdout}
		// Close prints at most an incomplete character, so its error does not matter.
		defer visible.Close()
		out = visible
	}
	if options.Follow {
		return readback.FollowLines(ctx, src, query, following, out)
	}
	return readback.Lines(ctx, src, query, out)
}

func readOrFollow(ctx context.Context, src readback.Source, query readback.Query, following readback.Following, follow bool, view readback.View) (readback.Report, error) {
	if follow {
		return readback.Follow(ctx, src, query, following, view)
	}
	return readback.Read(ctx, src, query, view)
}
