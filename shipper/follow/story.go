package follow

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// This file knows what belongs together: the files of one process, and the events of one job.

// Siblings says what the name of a followed file tells about it. Files of one folder whose names differ
// in the extension only are one process's: NAME.jsonl is its stdout, and NAME.log, NAME.err and
// NAME.stderr are about the same job. jobOf is the path of the file whose job the lines take that name
// none, "" for a file that stands by itself; stderr says that the file is a process's stderr.
func Siblings(path string) (jobOf string, stderr bool) {
	ext := filepath.Ext(path)
	stem := strings.TrimSuffix(path, ext)
	switch ext {
	case ".log":
		return stem + ".jsonl", false
	case ".err", ".stderr":
		jobOf = stem + ".jsonl"
		if _, err := os.Stat(jobOf); errors.Is(err, fs.ErrNotExist) {
			if _, err := os.Stat(stem + ".log"); err == nil {
				jobOf = stem + ".log"
			}
		}
		return jobOf, true
	}
	return "", false
}

// matches reports whether the file of that path in a followed folder is followed.
func matches(path string) bool {
	switch filepath.Ext(path) {
	case ".jsonl", ".log":
		return true
	case ".err", ".stderr":
		jobOf, _ := Siblings(path)
		_, err := os.Stat(jobOf)
		return err == nil
	}
	return false
}

// A model may be silent for minutes, so silence ends no job that is under way before patienceFactor
// times UntilIdle, and not before leastPatience.
const (
	patienceFactor = 60
	leastPatience  = 10 * time.Minute
)

// idle reports whether nothing came for so long that Run ends.
func (s *Set) idle(now time.Time) bool {
	silent := now.Sub(s.came)
	if s.o.UntilIdle == 0 || silent < s.o.UntilIdle {
		return false
	}
	path, job := s.underWay()
	if job == "" {
		return true
	}
	if silent < max(patienceFactor*s.o.UntilIdle, s.o.patience) {
		return false
	}
	s.log.Warn(fmt.Sprintf("nothing came for %s, although job %q in %s has not ended: it is not waited for any longer", silent.Round(time.Second), job, path))
	return true
}

// underWay returns a job of which a run has begun and none has ended the job, and the path of its
// input; "" where there is none.
func (s *Set) underWay() (path, job string) {
	for _, f := range s.files {
		if f.in != nil && !f.over {
			if made := f.in.progress.get(); made.Job != "" {
				return f.path, made.Job
			}
		}
	}
	for _, f := range s.fifos {
		if made := f.in.progress.get(); made.Job != "" {
			return f.path, made.Job
		}
	}
	for _, p := range s.parked {
		if p.job != "" && !p.done {
			return p.path, p.job
		}
	}
	return "", ""
}

// goesOn reports whether more of f is to be expected at the stop: it grows, or a job in it is under way
// and somebody may write its end.
func (s *Set) goesOn(f *file, now time.Time) bool {
	if s.wasIdle || f.in == nil || !f.present {
		return false
	}
	still := now.Sub(f.grew)
	if still < lineQuiet && f.grewAt(s.stopped) {
		return true
	}
	if made := f.in.progress.get(); made.Job == "" && made.Offset >= f.size {
		return false
	}
	writer, known := f.hasWriter()
	return !known || writer || still < s.o.quiet
}

// grewAt reports whether f has grown since t.
func (f *file) grewAt(t time.Time) bool { return f.grew.After(t) }
