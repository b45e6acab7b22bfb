package run

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"perstack-shipper/shipper"
	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/logfield"
)

// ResumeOptions say how [Resume] reaches what is left.
type ResumeOptions struct {
	Options
	// Redirect replaces parts of the recorded targets.
	Redirect Redirect
	// Caller replaces the recorded caller, where it is not empty.
	Caller cloudwatch.Caller
	// Connect returns a client for a target. Resume closes it.
	Connect func(target cloudwatch.Target, caller cloudwatch.Caller, creation Creation) (*cloudwatch.Client, error)
	Signals <-chan os.Signal
}

// Redirect sends what is left to another target than the recorded one. Empty fields change nothing.
type Redirect struct {
	Group, Region string
	Endpoint      *string // "" is the Region's own
}

// Resume ships what earlier processes left, to every target at once.
func Resume(o ResumeOptions) (Outcome, error) {
	o.Journal.MemoryInstead = false // a folder in memory has nothing left in it
	folder, err := openFolder(o.Journal, o.Log)
	if err != nil {
		return Failed, err
	}
	end := newShutdown(o.Signals, o.Delivery.DrainTimeout, o.Patience, o.Log)
	defer end.close()
	r := &resumption{ResumeOptions: o, folder: folder, origin: newOrigin(o.Options)}
	defer r.close()
	if err := r.take(end); err != nil {
		return Failed, err
	}
	if len(r.runs) == 0 {
		if r.outcome == Delivered {
			o.Log.Info(fmt.Sprintf("nothing is left in %s", folder.Path()), logfield.Folder(folder.Path()))
		}
		return r.outcome, nil
	}
	return r.ship(end), nil
}

// resumption is a call of Resume. It has one run for each target and way of reaching it.
type resumption struct {
	ResumeOptions
	folder  *journal.Folder
	origin  shipper.Origin
	runs    []*resumedRun
	outcome Outcome // of inputs that cannot be shipped
}

// resumedRun ships the inputs of one target.
type resumedRun struct {
	*Session
	key    string
	inputs []shipper.Input
	movers []*mover // of inputs that are FIFOs
	report shipper.Report
	err    error
}

func (r *resumption) close() {
	for _, run := range r.runs {
		run.Close()
		run.client.Close()
	}
}

// take takes over what is left, and logs what cannot be taken over.
func (r *resumption) take(end *shutdown) error {
	left, err := r.folder.Leftover()
	if err != nil {
		return err
	}
	for _, l := range left {
		switch {
		case l.Holder > 0:
			r.Log.Info(fmt.Sprintf("input %s in %s is shipped by process %d, which holds it", l.ID, l.Path, l.Holder), logfield.Input(l.ID), logfield.Folder(l.Path), logfield.PID(l.Holder))
			continue
		case l.Holder != 0:
			r.Log.Info(fmt.Sprintf("input %s in %s is shipped by another process, which holds it", l.ID, l.Path), logfield.Input(l.ID), logfield.Folder(l.Path))
			continue
		case nothingLeft(l):
			continue
		}
		err := r.takeOne(end, l)
		switch gone, ok := errors.AsType[*goneError](err); {
		case ok && !gone.lost:
			r.Log.Info(gone.said, logfield.Input(l.ID))
		case ok:
			r.Log.Error(gone.said, logfield.Input(l.ID))
			r.outcome = max(r.outcome, Rejected)
		case err != nil:
			r.Log.Error(err.Error(), append(logfield.Of(err), logfield.Input(l.ID), logfield.Folder(l.Path))...)
			r.outcome = Left
		}
	}
	return nil
}

func (r *resumption) takeOne(end *shutdown, l journal.Left) error {
	a, err := readAbout(l)
	if err != nil {
		return err
	}
	recorded := a.Target
	r.Redirect.apply(&a.Target)
	moved := a.Target != recorded
	run, err := r.runFor(a)
	if err != nil {
		return fmt.Errorf("input %s in %s cannot be shipped: %w", l.ID, l.Path, err)
	}
	target := run.client.Target()
	if !moved && !sameTarget(recorded, target) {
		return fmt.Errorf("input %s in %s is for %s, but would go to %s here: use the environment, --profile or --role-arn it was recorded with, or give --log-group, --region or --endpoint-url",
			l.ID, l.Path, targetName(recorded), targetName(target))
	}
	if moved { // the next start must continue at the target that this one ships to
		a.Target, a.Caller = target, run.caller
	}
	in, err := recoverInput(end.signalled, r.folder, l, a, r.Patience, r.Log)
	if err != nil {
		return err
	}
	if moved && l.Kind != journal.KindFile { // recoverInput has recorded it for a followed file
		if err := in.Journal.SetAbout(a.encode()); err != nil && !errors.Is(err, journal.ErrFull) {
			return errors.Join(err, in.Journal.Close())
		}
	}
	// Being primary makes resume wait for a command that still writes the input: see mayLeave in
	// package shipper.
	in.Primary = true
	if in.stdout != nil {
		run.noteSurvivor(a.ProcessGroup, in.stdout)
	}
	if in.mover != nil {
		run.movers = append(run.movers, in.mover)
	}
	run.inputs = append(run.inputs, in.Input)
	if moved {
		r.Log.Info(fmt.Sprintf("input %s was for %s and is shipped to %s from now on (%d bytes left); what was delivered before stays where it is",
			l.ID, targetName(recorded), targetName(target), l.Unacked),
			logfield.Input(l.ID), logfield.Bytes(l.Unacked), logfield.Group(target.Group), logfield.Region(target.Region))
		return nil
	}
	r.Log.Info(fmt.Sprintf("input %s is shipped to log group %q in %s from where it stopped (%d bytes left)", l.ID, a.Target.Group, a.Target.Region, l.Unacked),
		logfield.Input(l.ID), logfield.Bytes(l.Unacked), logfield.Group(a.Target.Group), logfield.Region(a.Target.Region))
	return nil
}

// apply changes target. If it does, the account of the target is no longer known.
func (r *Redirect) apply(target *cloudwatch.Target) {
	was := *target
	target.Group = cmp.Or(r.Group, target.Group)
	target.Region = cmp.Or(r.Region, target.Region)
	if r.Endpoint != nil {
		target.Endpoint = *r.Endpoint
	}
	if *target != was {
		target.Account = ""
	}
}

// runFor returns the run for the recorded target and caller.
func (r *resumption) runFor(a about) (*resumedRun, error) {
	a.Profile = cmp.Or(r.Caller.Profile, a.Profile)
	if r.Caller.RoleARN != "" { // the external ID belongs to the role
		a.RoleARN, a.ExternalID = r.Caller.RoleARN, r.Caller.ExternalID
	}
	key := fmt.Sprintf("%q %q %+v", a.Target, a.Caller, a.Creation)
	for _, run := range r.runs {
		if run.key == key {
			return run, nil
		}
	}
	client, err := r.Connect(a.Target, a.Caller, a.Creation)
	if err != nil {
		return nil, err
	}
	to := Target{Client: client, Caller: a.Caller, Creation: a.Creation}
	run := &resumedRun{key: key, Session: newSession(r.Options, to, r.folder, r.origin)}
	r.runs = append(r.runs, run)
	return run, nil
}

// ship ships to all targets at once and returns the outcome.
func (r *resumption) ship(end *shutdown) Outcome {
	memory := max(r.Delivery.MemoryMax/len(r.runs), r.Delivery.MemoryMin)
	var all sync.WaitGroup
	for _, run := range r.runs {
		all.Go(func() {
			defer run.freeSurvivors()
			defer run.guardSurvivors()()
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
	summarize(r.Log, &sum)
	outcome := r.outcome
	for _, run := range r.runs {
		outcome = max(outcome, run.logRest(run.report, run.err))
		if slices.ContainsFunc(run.movers, (*mover).hasFailed) {
			outcome = max(outcome, Rejected)
		}
	}
	return outcome
}
