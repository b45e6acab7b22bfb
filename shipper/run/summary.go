package run

import (
	"errors"
	"fmt"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"perstack-shipper/shipper"
	"perstack-shipper/shipper/logfield"
)

// SentenceKey is the key of a field whose text a logger for people prints instead of an entry's
// message and fields. The field's type is [zapcore.SkipType], so other loggers ignore it.
const SentenceKey = "sentence"

// conclude logs what happened to the inputs and returns the outcome.
func (s *Session) conclude(report shipper.Report, why error) Outcome {
	summarize(s.log, &report)
	return s.logRest(report, why)
}

// summarize logs what was shipped.
func summarize(log *zap.Logger, report *shipper.Report) {
	sentence := zap.Field{Key: SentenceKey, Type: zapcore.SkipType, String: report.Sentence()}
	log.Info(report.Did(), append(report.Fields(), sentence)...)
}

// logRest logs what was not delivered, and returns the outcome.
func (s *Session) logRest(report shipper.Report, why error) Outcome {
	outcome := Delivered
	gaveUp, isGivenUp := errors.AsType[*shipper.GaveUpError](why)
	cause := ""
	if isGivenUp {
		why, cause = gaveUpText(gaveUp), gaveUp.Cause
	}
	if report.Rejected > 0 || len(report.Failed) > 0 {
		outcome = Rejected
	}
	for _, dir := range report.Rejects {
		if dir == "" {
			s.log.Error(fmt.Sprintf("%d lines were refused by CloudWatch and are lost: they were kept in memory; give --journal-dir a folder that can be written", report.Rejected), zap.Int64("lines", int64(report.Rejected)))
			continue
		}
		s.log.Error(fmt.Sprintf("%d lines were refused by CloudWatch and are kept in %s/rejects.jsonl", report.Rejected, dir), zap.Int64("lines", int64(report.Rejected)), logfield.Folder(dir))
	}
	for _, left := range report.Left {
		if !left.Primary {
			s.logOthersLeft(left)
			continue
		}
		outcome = Left
		line := s.leftText(left, why)
		if cause != "" {
			line += ". The last failure: " + cause
			cause = "" // only once
		}
		s.log.Error(line, logfield.Input(left.Input), logfield.Folder(left.Path), logfield.Bytes(left.Bytes))
	}
	if why != nil && outcome == Delivered && !isGivenUp && !errors.Is(why, errDeadline) && !errors.Is(why, errSecondSignal) {
		s.log.Error(why.Error(), logfield.Of(why)...)
		outcome = Failed
	}
	return outcome
}

// gaveUpText says after how long the run gave up, and because of which option.
func gaveUpText(e *shipper.GaveUpError) error {
	if e.Hopeless { // only a default is shorter than --give-up-after
		return fmt.Errorf("nothing was ever accepted, and the shipper gave up after %s; --give-up-after makes it try for longer", e.After)
	}
	return fmt.Errorf("nothing was accepted for %s, the limit of --give-up-after", e.After)
}

// logOthersLeft logs what is left of an input of an earlier process.
func (s *Session) logOthersLeft(left shipper.Left) {
	switch {
	case left.Bytes == 0: // its writer is still running
	case left.Lost > 0:
		s.log.Error(fmt.Sprintf("input %s of an earlier process is not fully delivered, and %d of its last %d bytes are lost: %s was removed while they were shipped", left.Input, left.Lost, left.Bytes, left.Path),
			logfield.Input(left.Input), logfield.Bytes(left.Lost), logfield.Folder(left.Path))
	default:
		s.log.Warn(fmt.Sprintf("input %s of an earlier process is not fully delivered (%d bytes left); it is kept in %s%s", left.Input, left.Bytes, left.Path, s.later("continues it")),
			logfield.Input(left.Input), logfield.Bytes(left.Bytes), logfield.Folder(left.Path))
	}
}

// leftText says how much of an input is not delivered and why, where it is kept, and whether a
// later start will find it there.
func (s *Session) leftText(left shipper.Left, why error) string {
	what := "the input"
	if left.File != "" {
		what = left.File
	}
	undelivered := fmt.Sprintf("%d bytes of %s are not delivered (%v)", left.Bytes, what, why)
	switch {
	case left.Path == "" && left.File != "":
		return undelivered + "; its position was kept in memory, so the next start ships it from its beginning"
	case left.Path == "":
		return undelivered + ", and are lost: they were kept in memory; give --journal-dir a folder that can be written"
	case left.Lost > 0 && left.Lost >= left.Bytes:
		return fmt.Sprintf("%s, and are lost: %s could no longer be used, so only this process held them; repair that folder", undelivered, left.Path)
	case left.Lost > 0:
		return fmt.Sprintf("%s. The last %d of them are lost: %s could no longer be used, so only this process held them; the others are kept there%s",
			undelivered, left.Lost, left.Path, s.later("ships them"))
	case left.Bytes == 0:
		return fmt.Sprintf("input %s in %s has not ended%s", left.Input, left.Path, s.later("continues it"))
	case left.File != "":
		return fmt.Sprintf("%s; its position is kept in %s%s", undelivered, left.Path, s.later("continues there"))
	}
	return fmt.Sprintf("%s; they are kept in %s%s", undelivered, left.Path, s.later("ships them"))
}

// later says what happens to the rest in the journal folder: the next start does something with it,
// unless no start will find it.
func (s *Session) later(does string) string {
	if DiesWithContainer(s.folder.Path()) {
		return " on this container's own disk, and are lost with it: mount a volume there"
	}
	return fmt.Sprintf(": the next start on that folder %s, or `%s resume --journal-dir %s` does", does, program, s.folder.Path())
}
