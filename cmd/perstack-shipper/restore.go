package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"go.uber.org/zap"

	"perstack-shipper/config"
	"perstack-shipper/shipper/audit"
	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/quantity"
	"perstack-shipper/shipper/readback"
)

// runRestore restores the files that a job had in its workspace, or lists its checkpoints on
// stdout. A signal ends it without leaving anything behind.
func runRestore(options *config.Restore, log *zap.Logger) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	client, err := connectReader(ctx, options.Target, log)
	if err != nil {
		return fail(err)
	}
	defer client.Close()
	query := heldQuery(&options.Held)
	if options.List {
		return listCheckpoints(ctx, client, query)
	}
	done, err := audit.Restore(ctx, client, query, audit.RestoreOptions{
		Dir: options.Into, Checkpoint: options.Checkpoint, Force: options.Force,
	})
	if _, damaged := errors.AsType[*readback.DamageError](err); err != nil && !damaged {
		if errors.Is(err, audit.ErrNoCheckpoint) {
			return cannotTell(fmt.Errorf("%w: %q; run with --list to see them all", err, options.Checkpoint))
		}
		return failToRead(client, query, err)
	}

	log.Info(fmt.Sprintf("restored %d %s and %d %s into %s", done.Checkpoints, quantity.Plural(int64(done.Checkpoints), "checkpoint", "checkpoints"),
		done.Events, quantity.Plural(int64(done.Events), "event", "events"), filepath.Join(options.Into, done.Folder)),
		zap.Int("checkpoints", done.Checkpoints), zap.Int("events", done.Events), zap.Int64("bytes", done.Bytes), zap.Int("unchanged", done.Unchanged))
	for _, refused := range done.Refused {
		log.Warn("not restored: " + refused)
	}
	if more := done.Refuses - int64(len(done.Refused)); more > 0 {
		log.Warn(fmt.Sprintf("not restored: %d more like these", more))
	}
	if done.Cut > 0 {
		log.Warn(fmt.Sprintf("%d %s in the middle of an event, as happens when an agent is killed; the rest was never shipped",
			done.Cut, quantity.Plural(done.Cut, "line ends", "lines end")))
	}
	switch {
	case err != nil:
		return fail(fmt.Errorf("%w; everything else is restored", err))
	case options.Checkpoint == "" && done.Checkpoints == 0:
		return fail(errors.New("no event of the job holds a checkpoint, so the job cannot be resumed; what it did is in its event files"))
	case !done.Complete():
		return exitFailure
	}
	return exitOK
}

// heldQuery returns the query for all of a job.
func heldQuery(held *config.Held) readback.Query {
	return readback.Query{Job: held.Job, StreamTemplate: held.LogStream, Search: held.Search, Unmask: held.Unmask}
}

// failToRead prints why a job could not be read, and returns the exit code.
func failToRead(client *cloudwatch.Client, query readback.Query, err error) int {
	target := client.Target()
	return unread(client, err, fmt.Sprintf("nothing of the job %q is in log group %q in %s: check --job and --log-stream, or look in all streams with --search",
		query.Job, target.Group, target.Region))
}

// listCheckpoints prints a table of a job's checkpoints.
func listCheckpoints(ctx context.Context, client *cloudwatch.Client, query readback.Query) int {
	list, err := audit.Checkpoints(ctx, client, query)
	if _, damaged := errors.AsType[*readback.DamageError](err); err != nil && !damaged {
		return failToRead(client, query, err)
	}
	if len(list) == 0 && err == nil {
		return cannotTell(errors.New("no event of the job holds a checkpoint"))
	}
	if writeErr := audit.WriteCheckpoints(os.Stdout, list); writeErr != nil {
		return fail(writeErr)
	}
	if err != nil {
		return fail(err)
	}
	return exitOK
}
