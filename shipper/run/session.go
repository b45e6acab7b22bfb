package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	"perstack-shipper/batch"
	"perstack-shipper/shipper"
	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/logfield"
	"perstack-shipper/shipper/metrics"
)

const (
	// memoryJournal is how many bytes an input may hold in memory if no disk can be written.
	memoryJournal = 64 << 20

	// segmentBytes is the size of a segment in a pipe's journal, which is freed as a whole. It is
	// small enough that disk use falls while a backlog drains, and large enough that the cost of
	// making and deleting files cannot be measured.
	segmentBytes = 16 << 20
)

// Session is a run that ships inputs of its own to one target. Make it with [Open], call one of
// [Session.Stdin], [Session.Follow] and [Session.Exec], and then [Session.Close].
type Session struct {
	log      *zap.Logger
	client   *cloudwatch.Client
	caller   cloudwatch.Caller
	creation Creation
	folder   *journal.Folder
	keep     journal.Options // for pipes; guards keep its MaxBytes
	delivery Delivery
	patience Patience
	events   Events
	origin   shipper.Origin
	heart    *journal.Heartbeat
	metrics  *metrics.Source // nil: no metrics are served
	serving  *metrics.Server // nil: likewise

	status      func(text string) // nil: there is no terminal
	now         func() time.Time
	drainLogged time.Time

	survivors map[string]*survivor // by the id of the input that they write
	command   []string             // what Exec runs, without secrets
}

// Open opens the journal folder of a session. It does not call the target. If the folder cannot be
// used, the error is an *OptionError.
func Open(o Options, to Target, events Events) (*Session, error) {
	folder, err := openFolder(o.Journal, o.Log)
	if err != nil {
		return nil, err
	}
	s := newSession(o, to, folder, newOrigin(o))
	s.events = events
	if o.Metrics != "" {
		if err := s.serveMetrics(o); err != nil {
			return nil, errors.Join(err, s.heart.Close())
		}
	}
	warnOfContainer(folder.Path(), o.Log)
	return s, nil
}

func newSession(o Options, to Target, folder *journal.Folder, origin shipper.Origin) *Session {
	return &Session{
		log: o.Log, status: o.Status, now: time.Now, client: to.Client, caller: to.Caller, creation: to.Creation, folder: folder, delivery: o.Delivery, patience: o.Patience.withDefaults(), origin: origin,
		keep:  journal.Options{SegmentBytes: segmentBytes, MaxBytes: o.Journal.Max, Sync: o.Journal.Sync},
		heart: folder.Heartbeat(origin.Hostname),
	}
}

// Hostname returns the name of this machine as open records and the heartbeat in the journal folder
// have it.
func Hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}

// newOrigin returns what open records say about this process, except the target.
func newOrigin(o Options) shipper.Origin {
	return shipper.Origin{
		Version: o.Version, PID: os.Getpid(), Hostname: Hostname(), Started: time.Now(),
		ECS: shipper.AskECS(os.Getenv(shipper.ECSVariable), o.Log),
	}
}

// Close ends the session. Commands that outlived their shipper continue if they are stopped.
func (s *Session) Close() {
	s.serving.Close()
	if err := s.heart.Close(); err != nil {
		s.log.Warn(err.Error(), logfield.Folder(s.folder.Path()))
	}
	s.freeSurvivors()
}

// openFolder opens the journal folder, or uses memory instead if that is allowed.
func openFolder(o Journal, log *zap.Logger) (*journal.Folder, error) {
	folder, err := journal.Open(o.Dir)
	if err == nil {
		return folder, nil
	}
	unwritable, ok := errors.AsType[*journal.UnwritableError](err)
	switch {
	case !ok:
		return nil, optionError("--journal-dir", "%v", err)
	case o.MemoryInstead:
		memory, memoryErr := journal.InMemory(memoryJournal)
		if memoryErr != nil {
			break // report the problem with the folder
		}
		log.Warn(fmt.Sprintf("%v. The input is kept in memory: at most %d MiB, and a kill loses what is not shipped; give --journal-dir a folder that can be written", err, memoryJournal>>20), logfield.Folder(unwritable.Path), logfield.Bytes(memoryJournal))
		return memory, nil
	}
	return nil, optionError("--journal-dir", "%s cannot be written (%v); make it writable or name another folder", unwritable.Path, unwritable.Reason())
}

// shapeOf returns the shape of the input id.
func (s *Session) shapeOf(id string) batch.Shape {
	e := &s.events
	return batch.Shape{
		Input: id, JobID: e.JobID, RunID: e.RunID, Template: e.LogStream, Hostname: s.origin.Hostname,
		Fields: e.Fields, ExcludeTypes: e.ExcludeTypes, Redact: e.Redact,
	}
}

// newAbout returns the snapshot of a new input.
func (s *Session) newAbout(shape batch.Shape, jobOf, path string) about {
	return about{Shape: shape, Target: s.client.Target(), Caller: s.caller, Creation: s.creation, JobOf: jobOf, Path: path, Command: s.command}
}

// ship ships the inputs together with what earlier processes left, and reports the outcome.
func (s *Session) ship(ctx context.Context, inputs []shipper.Input, more <-chan shipper.Input) Outcome {
	inputs = append(inputs, s.leftovers()...)
	defer s.guardSurvivors()()
	report, why := shipper.New(s.options()).Run(ctx, inputs, more)
	outcome := s.conclude(report, why)
	if s.failedOn(report.Jobs) {
		return Failed
	}
	return outcome
}

// options returns the options of the loop.
func (s *Session) options() shipper.Options {
	target := s.client.Target()
	origin := s.origin
	origin.Target = map[string]string{"group": target.Group, "region": target.Region}
	if target.Endpoint != "" {
		origin.Target["endpoint"] = target.Endpoint
	}
	if target.Account != "" {
		origin.Target["account"] = target.Account
	}
	return shipper.Options{
		Client: s.client, Create: s.creation.Create, Compress: s.compresses(), Log: s.log,
		FlushInterval: s.delivery.FlushInterval, GiveUpAfter: s.delivery.GiveUpAfter, HopelessAfter: s.delivery.HopelessAfter,
		OthersAfter: s.delivery.DrainTimeout, MemoryMax: s.delivery.MemoryMax,
		Heartbeat: s.heart, Drain: s.showDrain, Metrics: s.metrics, Origin: origin,
	}
}

// compresses reports whether batches are compressed. Only CloudWatch itself is known to accept
// compressed batches.
func (s *Session) compresses() bool {
	return s.delivery.Compress == Gzip || s.delivery.Compress == Auto && s.client.IsAWS()
}
