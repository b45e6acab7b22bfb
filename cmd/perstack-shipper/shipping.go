package main

// This file holds what the commands that ship share: their options as package run takes them, the
// signals that end them, and their exit codes.

import (
	"cmp"
	"os"
	"os/signal"
	"syscall"

	"go.uber.org/zap"

	"perstack-shipper/batch"
	"perstack-shipper/config"
	"perstack-shipper/shipper/run"
)

func optionsOf(kept config.Journal, delivery config.Delivery, metrics config.Metrics, messages config.Log, log *zap.Logger) run.Options {
	giveUp, hopeless := delivery.Patience()
	return run.Options{
		Journal: run.Journal{
			Dir: cmp.Or(kept.JournalDir, config.DefaultJournalDir()), MemoryInstead: kept.JournalDir == "",
			Max: int64(kept.JournalMax), Sync: kept.JournalSync,
		},
		Delivery: run.Delivery{
			FlushInterval: delivery.FlushInterval, Compress: run.Compression(delivery.Compress),
			GiveUpAfter: giveUp, HopelessAfter: hopeless, DrainTimeout: delivery.DrainTimeout,
			MemoryMax: int(delivery.MemoryMax), MemoryMin: int(config.MinMemory),
		},
		Version: versionName(), Metrics: metrics.MetricsAddr, Status: statusFor(messages), Log: log,
	}
}

func eventsOf(events config.Events, verdict config.Verdict) run.Events {
	all := run.Events{
		LogStream: events.LogStream, JobID: events.JobID, RunID: events.RunID,
		ExcludeTypes: events.ExcludeTypes, Redact: events.Redact, FailOn: verdict.FailOn,
	}
	for _, f := range events.Fields {
		all.Fields = append(all.Fields, batch.Member{Name: f.Key, Value: f.Value})
	}
	return all
}

func creationOf(c config.Creation) run.Creation {
	creation := run.Creation{Create: c.Create, RetentionDays: c.RetentionDays, KMSKeyID: c.KMSKeyID}
	for _, tag := range c.Tags {
		creation.Tags = append(creation.Tags, run.Tag(tag))
	}
	return creation
}

// recordedCreation is the reverse of creationOf.
func recordedCreation(c run.Creation) config.Creation {
	creation := config.Creation{Create: c.Create, RetentionDays: c.RetentionDays, KMSKeyID: c.KMSKeyID}
	for _, tag := range c.Tags {
		creation.Tags = append(creation.Tags, config.Pair(tag))
	}
	return creation
}

// endSignals returns a channel that receives the signals for an orderly end, until stop is called.
func endSignals() (signals <-chan os.Signal, stop func()) {
	ends := make(chan os.Signal, 4)
	for _, sig := range []os.Signal{syscall.SIGTERM, os.Interrupt, syscall.SIGHUP} {
		// nohup and a shell's background jobs ignore signals. The agent survives them, and so must
		// its reader.
		if !signal.Ignored(sig) {
			signal.Notify(ends, sig)
		}
	}
	return ends, func() { signal.Stop(ends) }
}

// outcomeCode returns the exit code for the outcome of shipping. It prints err if there is one.
func outcomeCode(outcome run.Outcome, err error) int {
	if err != nil {
		return fail(err)
	}
	switch outcome {
	case run.Delivered:
		return exitOK
	case run.Rejected:
		return exitRejected
	case run.Left:
		return exitLeft
	}
	return exitFailure
}
