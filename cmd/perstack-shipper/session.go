package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	"perstack-shipper/batch"
	"perstack-shipper/config"
	"perstack-shipper/shipper"
	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/follow"
	"perstack-shipper/shipper/journal"
)

// memoryJournal bounds what an input may hold in memory where no disk can be written.
const memoryJournal = 64 << 20

// segmentBytes is how much of a pipe's journal is given back at a time: small, so that disk use falls while a backlog drains,
// large enough that making and deleting files costs nothing that can be measured.
const segmentBytes = 16 << 20

// session is what the commands that ship have in common: where to, by way of which journal, and how it ends.
type session struct {
	log      *zap.Logger
	client   *cloudwatch.Client
	folder   *journal.Folder
	keep     journal.Options
	delivery config.Delivery
	creation config.Creation
	profile  string
	started  time.Time
	hostname string
	ecs      func() map[string]string
	outlived map[int]*outlived // by their process groups
	command  []string          // that exec runs, without secrets
}

// about is the snapshot of options and target that stands beside an input's bytes: with it a later process ships what
// this one left.
type about struct {
	Shape    batch.Shape       `json:"shape"`
	Target   cloudwatch.Target `json:"target"`
	Profile  string            `json:"profile,omitempty"`
	Creation config.Creation   `json:"creation"`
	JobOf    string            `json:"jobOf,omitempty"`
	Group    int               `json:"group,omitempty"` // the process group of the command that writes it
	Path     string            `json:"path,omitempty"`
	Command  []string          `json:"command,omitempty"` // that writes it, without secrets
	File     *follow.Note      `json:"file,omitempty"`    // of a followed file
}

// encode is the snapshot as it is kept.
func (a about) encode() []byte {
	data, err := json.Marshal(a)
	if err != nil { // strings and numbers
		panic(err)
	}
	return data
}

// newSession opens the journal folder and resolves the target; it makes no call. The caller closes it.
func newSession(target config.Target, delivery config.Delivery, creation config.Creation, kept config.Journal, log *zap.Logger) (*session, error) {
	s := &session{
		log: log, delivery: delivery, creation: creation, profile: target.Profile, started: time.Now(),
		ecs:  shipper.AskECS(os.Getenv(shipper.ECSVariable), log),
		keep: journal.Options{SegmentBytes: segmentBytes, MaxBytes: int64(kept.JournalMax), Sync: kept.JournalSync},
	}
	var err error
	if s.hostname, err = os.Hostname(); err != nil {
		s.hostname = "localhost"
	}
	if s.client, err = connect(context.Background(), target, creation, log); err != nil {
		return nil, err
	}
	if s.folder, err = openJournal(kept, log); err != nil {
		s.client.Close()
		return nil, err
	}
	warnOfContainer(s.folder.Path(), log)
	return s, nil
}

func (s *session) close() {
	s.freeOutlived()
	s.client.Close()
}

// openJournal opens the journal folder. One that was named must do; where the default one cannot be written, memory
// takes its place.
func openJournal(kept config.Journal, log *zap.Logger) (*journal.Folder, error) {
	dir := kept.JournalDir
	if dir == "" {
		dir = config.DefaultJournalDir()
	}
	folder, err := journal.Open(dir)
	if err == nil {
		return folder, nil
	}
	_, unwritable := errors.AsType[*journal.UnwritableError](err)
	if kept.JournalDir != "" || !unwritable {
		return nil, journalUsage(err)
	}
	folder, memoryErr := journal.InMemory(memoryJournal)
	if memoryErr != nil {
		return nil, journalUsage(err)
	}
	log.Warn(fmt.Sprintf("%v. The input is kept in memory: at most %d MiB, and a kill loses what is not shipped; give --journal-dir a folder that can be written", err, memoryJournal>>20))
	return folder, nil
}

// journalUsage makes an error of the journal folder one of its option, which names the folder once.
func journalUsage(err error) *config.UsageError {
	if unwritable, ok := errors.AsType[*journal.UnwritableError](err); ok {
		return config.Usage("--journal-dir", "%s cannot be written (%v); make it writable or name another folder", unwritable.Path, unwritable.Reason())
	}
	return config.Usage("--journal-dir", "%v", err)
}

// shape is what turns lines of the input id into events.
func (s *session) shape(id string, events config.Events) batch.Shape {
	shape := batch.Shape{
		Input: id, JobID: events.JobID, RunID: events.RunID, Template: events.LogStream, Hostname: s.hostname,
		Exclude: events.ExcludeTypes, Redact: events.Redact,
	}
	for _, f := range events.Fields {
		shape.Fields = append(shape.Fields, batch.Member{Name: f.Key, Value: f.Value})
	}
	return shape
}

// aboutInput is the snapshot for an input.
func (s *session) aboutInput(shape batch.Shape, jobOf, path string) []byte {
	return s.newAbout(shape, jobOf, path).encode()
}

func (s *session) newAbout(shape batch.Shape, jobOf, path string) about {
	return about{Shape: shape, Target: s.client.Target(), Profile: s.profile, Creation: s.creation, JobOf: jobOf, Path: path, Command: s.command}
}

// run ships the inputs beside what earlier processes left, says how that went and returns the exit code.
func (s *session) run(ctx context.Context, inputs []shipper.Input, more <-chan shipper.Input, failOn []string) int {
	inputs = append(inputs, s.leftovers()...)
	defer s.guardOutlived()()
	report, err := shipper.New(s.options()).Run(ctx, inputs, more)
	code := s.conclude(report, err)
	if s.failedOn(failOn, report.Jobs) {
		return exitFailure
	}
	return code
}

func (s *session) options() shipper.Options {
	target := s.client.Target()
	giveUp, hopeless := s.delivery.Patience()
	to := map[string]string{"group": target.Group, "region": target.Region}
	if target.Endpoint != "" {
		to["endpoint"] = target.Endpoint
	}
	if target.Account != "" {
		to["account"] = target.Account
	}
	return shipper.Options{
		Client: s.client, Create: s.creation.Create, Log: s.log,
		FlushInterval: s.delivery.FlushInterval, GiveUpAfter: giveUp, HopelessAfter: hopeless, OthersAfter: s.delivery.DrainTimeout,
		MemoryMax: int(s.delivery.MemoryMax),
		Origin:    shipper.Origin{Version: versionName(), PID: os.Getpid(), Hostname: s.hostname, Started: s.started, Target: to, ECS: s.ecs},
	}
}

// conclude says what became of the inputs and returns the exit code.
func (s *session) conclude(report shipper.Report, why error) int {
	summarize(s.log, &report)
	return s.sayRest(report, why)
}

// sayRest says what is not as it should be, and returns the exit code.
func (s *session) sayRest(report shipper.Report, why error) int {
	code := exitOK
	gaveUp, isGivenUp := errors.AsType[*shipper.GaveUpError](why)
	cause := ""
	if isGivenUp {
		why, cause = sayGaveUp(gaveUp), gaveUp.Cause
	}
	if report.Rejected > 0 || len(report.Failed) > 0 {
		code = exitRejected
	}
	for _, dir := range report.Rejects {
		if dir == "" {
			s.log.Error(fmt.Sprintf("%d lines were refused by CloudWatch and are lost: they were kept in memory; give --journal-dir a folder that can be written", report.Rejected))
			continue
		}
		s.log.Error(fmt.Sprintf("%d lines were refused by CloudWatch and are kept in %s/rejects.jsonl", report.Rejected, dir))
	}
	for _, left := range report.Left {
		if !left.Own && left.Bytes == 0 {
			continue // its writer goes on
		}
		if !left.Own {
			if left.Lost > 0 {
				s.log.Error(fmt.Sprintf("input %s of an earlier process is not wholly delivered, and %d of its last %d bytes are lost: %s was removed while they were shipped", left.Input, left.Lost, left.Bytes, left.Path))
				continue
			}
			s.log.Warn(fmt.Sprintf("input %s of an earlier process is not wholly delivered (%d bytes left); it is kept in %s%s", left.Input, left.Bytes, left.Path, s.later("goes on")))
			continue
		}
		code = exitLeft
		line := s.sayLeft(left, why)
		if cause != "" {
			line += ". The last failure: " + cause
			cause = "" // once
		}
		s.log.Error(line)
	}
	if why != nil && code == exitOK && !isGivenUp && !errors.Is(why, errDeadline) && !errors.Is(why, errSecondSignal) {
		s.log.Error(why.Error())
		code = exitFailure
	}
	return code
}

// sayGaveUp says after how long it was given up, and by which option.
func sayGaveUp(e *shipper.GaveUpError) error {
	if e.Hopeless && e.After == config.DefaultHopelessAfter {
		return fmt.Errorf("nothing was ever accepted, and it was given up after %s; --give-up-after goes on for longer", e.After)
	}
	return fmt.Errorf("nothing was accepted for %s, the limit of --give-up-after", e.After)
}

// sayLeft says what of an input is not delivered and why, where it is kept, and whether a later start will find it there.
func (s *session) sayLeft(left shipper.Left, why error) string {
	what := "the input"
	if left.File != "" {
		what = left.File
	}
	undelivered := fmt.Sprintf("%d bytes of %s are not delivered (%v)", left.Bytes, what, why)
	switch {
	case left.Path == "" && left.File != "":
		return undelivered + "; how far it is shipped was kept in memory, so the next start begins at its start"
	case left.Path == "":
		return undelivered + ", and are lost: they were kept in memory; give --journal-dir a folder that can be written"
	case left.Lost > 0 && left.Lost >= left.Bytes:
		return fmt.Sprintf("%s, and are lost: %s could not be used any more, so that only this process held them; see to that folder", undelivered, left.Path)
	case left.Lost > 0:
		return fmt.Sprintf("%s. The last %d of them are lost: %s could not be used any more, so that only this process held them; the others are kept there%s",
			undelivered, left.Lost, left.Path, s.later("ships them"))
	case left.Bytes == 0:
		return fmt.Sprintf("input %s in %s has not ended%s", left.Input, left.Path, s.later("goes on with it"))
	case left.File != "":
		return fmt.Sprintf("%s; how far it is shipped is kept in %s%s", undelivered, left.Path, s.later("goes on there"))
	}
	return fmt.Sprintf("%s; they are kept in %s%s", undelivered, left.Path, s.later("ships them"))
}

// later says what becomes of what is left in the journal folder: the next start does it, unless no start will find it.
func (s *session) later(does string) string {
	if diesWithContainer(s.folder.Path()) {
		return " on this container's own disk, and are lost with it: mount a volume there"
	}
	return fmt.Sprintf(": the next start on that folder %s, or `%s resume --journal-dir %s` does", does, config.Program, s.folder.Path())
}
