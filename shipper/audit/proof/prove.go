package proof

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"
	"strings"
	"time"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/quantity"
	"perstack-shipper/shipper/readback"
)

const (
	maxNamed = 1000 // lines and ranges listed per input
	maxJobs  = 100  // jobs listed per input
)

// prover is the View that proves inputs, one at a time.
type prover struct {
	ctx    context.Context
	p      *proving
	job    string // the job to prove, or "" for all jobs of the inputs
	inputs []*Input

	// The current input.
	in       *readback.Input
	out      *Input
	sha      hash.Hash // of the lines, each with a newline
	raw      hash.Hash // of the input as it was read; nil if the seal has no separate digest of it
	bytes    int64     // of the input as it was read
	original *original // nil if only the seal proves the input
	assigned bool      // original was looked for

	sum        string   // digest of the lines that the seal counts; "" until they were read
	rawSum     string   // digest of the input as it was read, or "" if unknown
	empty      int64    // empty lines before the lines that the seal counts
	beyond     int64    // lines after the last one that the seal counts
	given      int64    // lines that were read
	missing    int64    // lines that are missing or lack a part
	parts      []string // a sentence for each line that lacks a part
	twice      []int64  // lines that are stored twice with different bytes
	rawUnknown bool     // a line was repaired, redacted or excluded, so the bytes read are unknown
	split      bool     // its last line is so long that the seal may be from the middle of it
	within     bool     // the seal is from the middle of a line, so its digest proves nothing
	first      int64    // time of the first line that was read
}

// Input implements readback.View.
func (v *prover) Input(in *readback.Input) error {
	*v = prover{ctx: v.ctx, p: v.p, job: v.job, inputs: v.inputs, in: in, sha: sha256.New()}
	if in.Seal != nil && in.Seal.RawSHA256 != "" {
		v.raw = sha256.New()
	}
	v.out = &Input{ID: in.ID, Source: sourceOf(in), Missing: [][2]int64{}, Altered: []int64{}, Rejected: [][2]int64{}}
	return nil
}

func sourceOf(in *readback.Input) string {
	switch {
	case in.Source == "stderr" || strings.HasSuffix(in.ID, ".err"):
		return "stderr"
	case in.Open != nil && in.Open.Path != "":
		return in.Open.Path
	}
	return "stdout"
}

// Record implements readback.View.
func (v *prover) Record(*readback.Record) error { return nil }

// Line implements readback.View.
func (v *prover) Line(l *readback.Line) error {
	if v.given == 0 {
		v.first = l.Time
	}
	v.given++
	v.out.LastSeq = l.Seq
	v.out.Excluded += l.Excluded
	if l.JobID != "" && len(v.out.Jobs) < maxJobs && (len(v.out.Jobs) == 0 || v.out.Jobs[len(v.out.Jobs)-1] != l.JobID) && !slices.Contains(v.out.Jobs, l.JobID) {
		v.out.Jobs = append(v.out.Jobs, l.JobID)
	}
	v.rawUnknown = v.rawUnknown || l.Lossy || l.Redacted > 0 || l.Excluded > 0
	if seal := v.in.Seal; seal != nil {
		if l.Seq > seal.LastSeq {
			if err := v.sealed(); err != nil {
				return err
			}
			v.beyond++
		} else {
			v.empty += l.Empty
		}
		// A seal counts a shorter line as a whole.
		v.split = v.split || l.Seq == seal.LastSeq && l.Size > batch.MaxLineBytes
	}
	if err := v.hash(l); err != nil {
		return err
	}
	if !v.assigned {
		v.assigned = true
		var err error
		if v.original, err = v.p.originals.of(v.in, l); err != nil {
			return err
		}
	}
	if v.original != nil {
		return v.original.line(l)
	}
	return nil
}

// hash adds a line to the digests.
func (v *prover) hash(l *readback.Line) error {
	if _, err := l.WriteTo(v.sha); err != nil {
		return err
	}
	v.sha.Write(newlines[:1])
	v.bytes += l.Empty + l.Size
	if !l.NoNewline {
		v.bytes++
	}
	if v.raw == nil {
		return nil
	}
	if err := v.newlines(l.Empty); err != nil {
		return err
	}
	if _, err := l.WriteTo(v.raw); err != nil {
		return err
	}
	if !l.NoNewline {
		v.raw.Write(newlines[:1])
	}
	return nil
}

// sealed computes the digests of the lines that the seal counts. It is called after the last of
// them.
func (v *prover) sealed() error {
	if v.sum != "" {
		return nil
	}
	v.sum = hex.EncodeToString(v.sha.Sum(nil))
	if v.raw == nil {
		return nil
	}
	if err := v.newlines(v.in.Seal.EmptyLines - v.empty); err != nil {
		return err
	}
	v.rawSum = hex.EncodeToString(v.raw.Sum(nil))
	v.raw = nil
	return nil
}

var newlines = bytes.Repeat([]byte{'\n'}, 4096)

// newlines adds n empty lines to the raw digest.
func (v *prover) newlines(n int64) error {
	for n > 0 {
		if v.ctx.Err() != nil { // a seal can claim any number
			return context.Cause(v.ctx)
		}
		some := min(n, int64(len(newlines)))
		v.raw.Write(newlines[:some])
		n -= some
	}
	return nil
}

// Fault implements readback.View.
func (v *prover) Fault(f *readback.Fault) error {
	switch {
	case f.Differs:
		v.twice = append(v.twice, f.Seq)
		return nil
	case f.Part > 0:
		v.parts = append(v.parts, fmt.Sprintf("line %d lacks part %d", f.Seq, f.Part))
	}
	v.missing += f.Last - f.Seq + 1
	v.out.Missing = join(v.out.Missing, f.Seq, f.Last)
	return nil
}

// join adds [from, to] to ranges that lie before it. Beyond maxNamed ranges it extends the last
// one.
func join(ranges [][2]int64, from, to int64) [][2]int64 {
	if n := len(ranges); n > 0 && (ranges[n-1][1]+1 == from || n == maxNamed) {
		ranges[n-1][1] = to
		return ranges
	}
	return append(ranges, [2]int64{from, to})
}

// End implements readback.View.
func (v *prover) End(in *readback.Input) error {
	out, seal := v.out, in.Seal
	v.inputs = append(v.inputs, out)
	out.Repeats, out.Ended = in.Repeats, seal != nil && seal.Ended
	out.Lines, out.Bytes, out.LastSeq = v.given, v.bytes, max(out.LastSeq, in.LastSeq)
	if seal != nil {
		if err := v.sealed(); err != nil {
			return err
		}
		if v.beyond == 0 {
			out.Lines, out.Bytes, out.LastSeq = seal.Lines, seal.Bytes, seal.LastSeq
		}
		out.Rejected, out.Excluded = append(out.Rejected, seal.Rejected...), max(out.Excluded, seal.ExcludedLines)
	} else {
		v.sum = hex.EncodeToString(v.sha.Sum(nil))
	}
	if !v.assigned {
		var err error
		if v.original, err = v.p.originals.of(in, nil); err != nil {
			return err
		}
	}
	if v.original != nil {
		if err := v.original.end(in, v.beyond == 0); err != nil {
			return err
		}
	}
	v.judge()
	return nil
}

// judge sets the verdict on the input, and the reasons for it.
func (v *prover) judge() {
	out, seal := v.out, v.in.Seal
	say := func(verdict Verdict, format string, args ...any) {
		if out.Verdict == "" {
			out.Verdict = verdict
		}
		out.Verdict = out.Verdict.and(verdict)
		out.Why = append(out.Why, fmt.Sprintf(format, args...))
	}
	out.Verdict = Complete

	if v.missing > 0 {
		say(NotComplete, "%d missing: %s%s", v.missing, rangesText(out.Missing), v.wherefore())
		for _, part := range v.parts[:min(len(v.parts), 10)] {
			say(NotComplete, "%s", part)
		}
	}
	for _, name := range v.in.Absent {
		say(NotComplete, "log stream %q, which the seal names, no longer exists", name)
	}
	if seal != nil && seal.Truncated.Times > 0 {
		say(NotComplete, "the input was truncated before it was read: at least %s lost", quantity.Count(seal.Truncated.Bytes, "byte is", "bytes are"))
	}
	v.compare(say)
	if seal != nil && seal.CutLine {
		say(Complete, "the input ended in the middle of a line of JSON: the rest of the line never arrived")
	}
	switch {
	case v.in.Strange != "":
		say(CannotTell, "its seal has %s: use the version of perstack-shipper that shipped it, or a later one", v.in.Strange)
	case seal == nil:
		say(CannotTell, "there is no seal yet, so nothing says how many lines it has (%s)", v.age(v.in.Arrived, "newest event"))
	case !v.in.Proved:
		say(CannotTell, "its seal does not name its log streams")
	case v.beyond > 0:
		say(CannotTell, "%s the last seal, at seq %d", quantity.Count(v.beyond, "line follows", "lines follow"), seal.LastSeq)
	case !seal.Ended && (v.within || !v.over()):
		say(CannotTell, "the input has not ended (last seal at seq %d, %s)", seal.LastSeq, v.age(seal.Timestamp, ""))
	}
}

// compare compares the lines with the digest in the seal and with the original.
func (v *prover) compare(say func(Verdict, string, ...any)) {
	out, seal, o := v.out, v.in.Seal, v.original
	known := seal != nil && seal.SHA256 != "" && v.missing == 0 && len(v.in.Absent) == 0 && v.in.Proved
	rejected := seal != nil && len(seal.Rejected) > 0
	v.rawUnknown = v.rawUnknown || seal != nil && seal.ExcludedLines+seal.Redacted > 0
	same := known && !rejected && v.sum == seal.SHA256
	if same || seal == nil && v.missing == 0 {
		out.SHA256 = v.sum
	}
	var differ bool
	if o != nil {
		differ = len(o.differs) > 0
		out.Altered = append(out.Altered, o.differs...)
		for _, why := range o.why {
			say(NotComplete, "%s", why)
		}
	}
	switch masked := !v.p.v.Unmask && known && !same && (!rejected || differ) && v.p.describe(v.ctx).Masked; {
	case masked:
		say(CannotTell, "a data protection policy of the log group masks some of its text, so the digest differs: use --unmask to read the original, if logs:Unmask is allowed")
		out.Altered = []int64{}
	case differ && same:
		say(NotComplete, "%s: %s, but CloudWatch holds what was shipped", o.name, o.differing())
	case differ:
		say(NotComplete, "altered: %s from %s", o.differing(), o.name)
	case known && rejected && o == nil:
		say(CannotTell, "CloudWatch refused seq %s, so the digest of the rest is unknown: give the FILE that holds the original", rangesText(seal.Rejected))
	case known && rejected && seal.Redacted > 0:
		say(CannotTell, "CloudWatch refused seq %s, so the digest of the rest is unknown, and %s cannot show whether a line was redacted or altered", rangesText(seal.Rejected), o.name)
	case known && rejected, same && o != nil && v.rawUnknown:
		// The lines equal those of the file. The file is the one that was shipped if its
		// digest is in the seal.
		raw := seal.RawSHA256
		if raw == "" {
			raw = seal.SHA256
		}
		if o.sum != raw {
			say(NotComplete, "%s is not the input that was shipped: its digest does not match the seal", o.name)
		}
	case known && !same && !seal.Ended && v.split:
		v.within = true
	case known && !same:
		out.Altered = append(out.Altered, v.twice...)
		say(NotComplete, "altered: no line is missing, but the digest does not match the seal; give the FILE that holds the original to see which lines differ")
	case same && v.rawSum != "" && v.rawSum != seal.RawSHA256 && !v.rawUnknown && !v.split:
		say(NotComplete, "altered: the lines are unchanged, but the empty lines between them or the newline at the end are not")
	case seal != nil && seal.SHA256 == "":
		say(CannotTell, "its seal has no digest")
	}
	if len(v.twice) > 0 && same {
		say(Complete, "%s stored twice with different bytes; the digest proves the first", quantity.Count(int64(len(v.twice)), "line is", "lines are"))
	}
}

// over reports whether the jobs of a followed file have ended, judging by their events. The file
// itself never ends, because somebody may still write to it.
func (v *prover) over() bool {
	if v.in.Open == nil || v.in.Open.Path == "" {
		return false
	}
	for _, j := range v.in.Seal.Jobs {
		if j.Outcome == batch.Unfinished && (v.job == "" || j.JobID == v.job || j.JobID == "") {
			return false
		}
	}
	return len(v.in.Seal.Jobs) > 0
}

// wherefore says, as an addition to a sentence, that the missing beginning of the input has
// expired, or returns "".
func (v *prover) wherefore() string {
	if len(v.out.Missing) == 0 || v.out.Missing[0][0] != 1 {
		return ""
	}
	g := v.p.describe(v.ctx)
	if g.RetentionDays == 0 {
		return ""
	}
	oldest := v.p.v.Now().AddDate(0, 0, -g.RetentionDays)
	begun := v.in.Time
	if v.first != 0 {
		begun = min(begun, v.first)
	}
	if begun > oldest.Add(24*time.Hour).UnixMilli() {
		return ""
	}
	whose := "the log group's"
	if g.RetentionPolicy != "" {
		whose = fmt.Sprintf("the account's (policy %q)", g.RetentionPolicy)
	}
	return fmt.Sprintf("; its beginning is older than %s retention of %s", whose, days(g.RetentionDays))
}

// age says how long ago what happened.
func (v *prover) age(at int64, what string) string {
	if at == 0 {
		return strings.TrimSpace(what + " at an unknown time")
	}
	d := max(0, v.p.v.Now().Sub(time.UnixMilli(at)))
	ago := quantity.Count(int64(d/time.Second), "second", "seconds")
	for _, unit := range []struct {
		of        time.Duration
		one, many string
	}{{48 * time.Hour, "day", "days"}, {2 * time.Hour, "hour", "hours"}, {2 * time.Minute, "minute", "minutes"}} {
		if d >= unit.of {
			size := unit.of / 2
			ago = quantity.Count(int64(d/size), unit.one, unit.many)
			break
		}
	}
	return strings.TrimSpace(what + " " + ago + " ago")
}
