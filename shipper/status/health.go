package status

import (
	"fmt"
	"time"

	"perstack-shipper/shipper/journal"
)

// Limits are the limits of a healthy folder.
type Limits struct {
	OlderThan     time.Duration // how long the oldest line may wait
	IgnoreRejects bool
}

// Unhealthy returns a sentence for each problem of the folder's inputs, as of now.
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
		// The input's target is not known.
		case !in.Oldest.IsZero() && age > limits.OlderThan && newer != nil:
			say("input %s: its oldest line has waited for %s, longer than --older-than %s: the shipper's log says why", in.ID, ageText(age), limits.OlderThan)
		case !in.Oldest.IsZero() && age > limits.OlderThan:
			say("input %s: its oldest line has waited for %s, longer than --older-than %s: see why log group %q in %s does not accept it, in the shipper's log or with `perstack-shipper check`",
				in.ID, ageText(age), limits.OlderThan, a.Target.Group, a.Target.Region)
		}
		// A rotated file is gone, but its owner still reads it.
		if in.Err != nil && (in.Kind != journal.KindFile || in.Holder == 0 && in.Waiting > 0) {
			say("%v", in.Err)
		}
	}
	return sentences, nil
}

// stuckAfter is how long a turn of the loop may take. It is many times journal.HeartbeatEvery, to
// allow for a busy machine and a slow disk.
const stuckAfter = 30 * time.Second

// Dead returns why no shipper is working on the folder, or "" if one is. It ignores whether the
// shipper is waiting for input or for CloudWatch, because a restart would not help it then.
func Dead(view *journal.View, hostname string, now time.Time) string {
	living := 0
	for _, p := range view.Pulses(hostname) {
		if !p.Alive {
			continue
		}
		living++
		// If the disk has become read-only, the time of the file stays as it is, while the shipper
		// goes on in memory. A restart would lose what it holds there.
		if age := now.Sub(p.Beat); age > stuckAfter && view.Writable() {
			return fmt.Sprintf("the shipper on %s has been stuck for %s", view.Path(), ageText(age))
		}
	}
	if living == 0 {
		return fmt.Sprintf("no shipper is running on %s", view.Path())
	}
	return ""
}
