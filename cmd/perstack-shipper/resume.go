package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"

	"perstack-shipper/config"
	"perstack-shipper/shipper"
	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/journal"
)

// runResume ships what earlier processes left, to every target at once.
func runResume(options *config.Resume, log *zap.Logger) int {
	dir := cmp.Or(options.JournalDir, config.DefaultJournalDir())
	folder, err := journal.Open(dir)
	if err != nil {
		return fail(journalUsage(err))
	}
	end := newEnding(options.DrainTimeout, log)
	defer end.close()
	r := &resumption{options: options, log: log, folder: folder, started: time.Now(), ecs: shipper.AskECS(os.Getenv(shipper.ECSVariable), log)}
	if r.hostname, err = os.Hostname(); err != nil {
		r.hostname = "localhost"
	}
	defer r.close()
	if err := r.take(end); err != nil {
		return fail(err)
	}
	if len(r.runs) == 0 {
		if r.code == exitOK {
			log.Info(fmt.Sprintf("nothing is left in %s", folder.Path()))
		}
		return r.code
	}
	return r.ship(end)
}

// resumption is what resume does: a run for every target and manner of reaching it.
type resumption struct {
	options  *config.Resume
	log      *zap.Logger
	folder   *journal.Folder
	started  time.Time
	hostname string
	ecs      func() map[string]string

	runs []*resumedRun
	code int // for what cannot be shipped
}

// resumedRun is the shipping of what is for one target.
type resumedRun struct {
	*session
	key    string
	inputs []shipper.Input
	report shipper.Report
	err    error
}

func (r *resumption) close() {
	for _, run := range r.runs {
		run.close()
	}
}

// take takes over what is left, and says what cannot be.
func (r *resumption) take(end *ending) error {
	left, err := r.folder.Leftover()
	if err != nil {
		return err
	}
	for _, l := range left {
		switch {
		case l.Holder > 0:
			r.log.Info(fmt.Sprintf("input %s in %s is shipped by process %d, which holds it", l.ID, l.Path, l.Holder))
			continue
		case l.Holder != 0:
			r.log.Info(fmt.Sprintf("input %s in %s is shipped by another process, which holds it", l.ID, l.Path))
			continue
		case nothingLeft(l):
			continue
		}
		err := r.takeOne(end, l)
		switch gone, ok := errors.AsType[*goneError](err); {
		case ok && !gone.lost:
			r.log.Info(gone.said)
		case ok:
			r.log.Error(gone.said)
			r.code = max(r.code, exitRejected)
		case err != nil:
			r.log.Error(err.Error())
			r.code = exitLeft
		}
	}
	return nil
}

func (r *resumption) takeOne(end *ending, l journal.Left) error {
	a, err := readAbout(l)
	if err != nil {
		return err
	}
	recorded := a.Target
	redirect(&a.Target, &r.options.Redirect)
	moved := a.Target != recorded
	run, err := r.runFor(a)
	if err != nil {
		return fmt.Errorf("input %s in %s cannot be shipped: %w", l.ID, l.Path, err)
	}
	target := run.client.Target()
	if !moved && !sameTarget(recorded, target) {
		return fmt.Errorf("input %s in %s is for %s, and here it would go to %s: give the environment and the --profile that it was recorded with, or --log-group, --region or --endpoint-url to ship it elsewhere",
			l.ID, l.Path, targetName(recorded), targetName(target))
	}
	if moved { // the next start must go on where this one ships to
		a.Target, a.Profile = target, run.profile
	}
	in, err := recoverInput(end.signalled, r.folder, l, a, r.log)
	if err != nil {
		return err
	}
	if moved && l.Kind != journal.File { // of a followed file, recoverInput has kept it
		if err := in.Journal.SetAbout(a.encode()); err != nil && !errors.Is(err, journal.ErrFull) {
			return errors.Join(err, in.Journal.Close())
		}
	}
	in.Own = true
	run.outlive(a.Group, in.Journal)
	run.inputs = append(run.inputs, in)
	if moved {
		r.log.Info(fmt.Sprintf("input %s was for %s and is shipped to %s from here on (%d bytes left); what was delivered before stays where it is",
			l.ID, targetName(recorded), targetName(target), l.Unacked))
		return nil
	}
	r.log.Info(fmt.Sprintf("input %s is shipped to log group %q in %s from where it stopped (%d bytes left)", l.ID, a.Target.Group, a.Target.Region, l.Unacked))
	return nil
}

// redirect changes the target as the options say. Which account it is in is not known any more then.
func redirect(target *cloudwatch.Target, to *config.Redirect) {
	was := *target
	target.Group = cmp.Or(to.LogGroup, target.Group)
	target.Region = cmp.Or(to.Region, target.Region)
	if to.EndpointURL != nil {
		target.Endpoint = *to.EndpointURL
	}
	if *target != was {
		target.Account = ""
	}
}

func targetName(t cloudwatch.Target) string {
	name := fmt.Sprintf("log group %q in %s", t.Group, t.Region)
	if t.Endpoint != "" {
		name += " at " + t.Endpoint
	}
	if t.Account != "" {
		name += " of account " + t.Account
	}
	return name
}

// runFor is the run for what was recorded so.
func (r *resumption) runFor(a about) (*resumedRun, error) {
	a.Profile = cmp.Or(r.options.Profile, a.Profile)
	key := fmt.Sprintf("%q %q %+v", a.Target, a.Profile, a.Creation)
	for _, run := range r.runs {
		if run.key == key {
			return run, nil
		}
	}
	target := config.Target{LogGroup: a.Target.Group, AWS: config.AWS{Region: a.Target.Region, EndpointURL: a.Target.Endpoint, Profile: a.Profile}}
	client, err := connect(context.Background(), target, a.Creation, r.log)
	if err != nil {
		return nil, err
	}
	run := &resumedRun{key: key, session: &session{
		log: r.log, client: client, folder: r.folder, delivery: r.options.Delivery, creation: a.Creation, profile: a.Profile,
		started: r.started, hostname: r.hostname, ecs: r.ecs,
	}}
	r.runs = append(r.runs, run)
	return run, nil
}

// ship ships to all targets and returns the exit code.
func (r *resumption) ship(end *ending) int {
	memory := max(int(r.options.MemoryMax)/len(r.runs), int(config.MinMemory))
	var all sync.WaitGroup
	for _, run := range r.runs {
		all.Go(func() {
			defer run.freeOutlived()
			defer run.guardOutlived()()
			o := run.options()
			o.MemoryMax, o.Stop = memory, end.signalled.Done()
			run.report, run.err = shipper.New(o).Run(end.running, run.inputs, nil)
		})
	}
	all.Wait()
	var sum shipper.Report
	for _, run := range r.runs {
		sum.Add(run.report)
	}
	summarize(r.log, &sum)
	code := r.code
	for _, run := range r.runs {
		code = max(code, run.sayRest(run.report, run.err))
	}
	return code
}
