package status

import (
	"fmt"
	"time"

	"perstack-shipper/shipper/journal"
)

// Limits are what a healthy folder keeps within.
type Limits struct {
	OlderThan     time.Duration // how long the oldest line may wait
	IgnoreRejects bool
}

// Unhealthy says in a sentence each what is not well with the inputs of a folder, as of now.
func Unhealthy(view *journal.View, limits Limits, now time.Time) (sentences []string, err error) {
	inputs, err := view.Inputs()
	if err != nil {
		return nil, err
	}
	say := func(format string, args ...any) { sentences = append(sentences, fmt.Sprintf(format, args...)) }
	for i := range inputs {
		in := &inputs[i]
		if in.Rejects > 0 && !limits.IgnoreRejects {
			say("input %s: lines that CloudWatch refused are in %s: see why they were refused and move the file away, or give --ignore-rejects", in.ID, in.RejectsPath())
		}
		if in.Delivered {
			continue
		}
		a, newer := aboutOf(in)
		switch age := now.Sub(in.Oldest); {
		case in.Waiting > 0 && in.Holder == 0 && newer != nil:
			say("input %s: no shipper is running for it, and %d bytes are waiting: %v", in.ID, in.Waiting, newer)
		case in.Waiting > 0 && in.Holder == 0:
			say("input %s: no shipper is running for it, and %d bytes are waiting: start the shipper again, or run `perstack-shipper resume --journal-dir %s`", in.ID, in.Waiting, view.Path())
		case !in.Oldest.IsZero() && age > limits.OlderThan && newer != nil: // it does not say where it is for
			say("input %s: its oldest line has waited for %s, longer than --older-than %s: the shipper's log says why", in.ID, ageText(age), limits.OlderThan)
		case !in.Oldest.IsZero() && age > limits.OlderThan:
			say("input %s: its oldest line has waited for %s, longer than --older-than %s: the shipper's log says why log group %q in %s does not accept it, and `perstack-shipper check` tests what should work",
				in.ID, ageText(age), limits.OlderThan, a.Target.Group, a.Target.Region)
		}
		if in.Err != nil && (in.Kind != journal.KindFile || in.Holder == 0 && in.Waiting > 0) { // a rotated file is gone, and its owner reads on
			say("%v", in.Err)
		}
	}
	return sentences, nil
}

// stuckAfter is how long a loop that lives may take for a turn: many times journal.HeartbeatEvery,
// for a busy machine and a slow disk.
const stuckAfter = 30 * time.Second

// Dead says why no shipper is at work on the folder, or "". It asks neither for inputs nor for
// CloudWatch: a shipper that waits for that must not be started again for it.
func Dead(view *journal.View, hostname string, now time.Time) string {
	living := 0
	for _, p := range view.Pulses(hostname) {
		if !p.Alive {
			continue
		}
		living++
		// Where the disk has become read-only, the file keeps its time and the shipper goes on in
		// memory: to stop it then would lose what that holds.
		if age := now.Sub(p.Beat); age > stuckAfter && view.Writable() {
			return fmt.Sprintf("the shipper on %s has been stuck for %s", view.Path(), ageText(age))
		}
	}
	if living == 0 {
		return fmt.Sprintf("no shipper is running on %s", view.Path())
	}
	return ""
}
