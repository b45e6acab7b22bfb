package main

import (
	"encoding/json"
	"fmt"

	"perstack-shipper/config"
	"perstack-shipper/shipper"
	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/journal"
)

// leftovers takes over what earlier processes left in the journal folder for this target. What is for another target is named, and left alone.
func (s *session) leftovers() []shipper.Input {
	left, err := s.folder.Leftover()
	if err != nil {
		s.log.Warn(fmt.Sprintf("what earlier processes left in %s cannot be listed: %v", s.folder.Path(), err))
	}
	var inputs []shipper.Input
	for _, l := range left {
		if l.Holder != 0 || l.Kind == journal.File {
			continue // somebody ships it; or it is a cursor in a file, for who follows that
		}
		a, err := readAbout(l)
		if err != nil {
			s.log.Warn(err.Error())
			continue
		}
		if !sameTarget(a.Target, s.client.Target()) {
			s.log.Warn(fmt.Sprintf("input %s in %s is for log group %q in %s and waits there; `%s resume --journal-dir %s` ships it", l.ID, l.Path, a.Target.Group, a.Target.Region, config.Program, s.folder.Path()))
			continue
		}
		in, err := s.recover(l, a)
		if err != nil {
			s.log.Warn(err.Error())
			continue
		}
		s.log.Info(fmt.Sprintf("input %s of an earlier process is shipped from where that stopped (%d bytes left)", l.ID, l.Unacked))
		inputs = append(inputs, in)
	}
	return inputs
}

// recover takes one input over.
func (s *session) recover(l journal.Left, a about) (shipper.Input, error) {
	j, err := s.folder.Recover(l.ID)
	if err != nil {
		return shipper.Input{}, err
	}
	return shipper.Input{Journal: j, Shape: a.Shape, JobOf: a.JobOf, Path: a.Path}, nil
}

func readAbout(l journal.Left) (about, error) {
	var a about
	if err := json.Unmarshal(l.About, &a); err != nil || a.Shape.Input == "" {
		return a, fmt.Errorf("input %s in %s does not say what it is for, and is left alone: %v", l.ID, l.Path, err)
	}
	return a, nil
}

// sameTarget reports whether what was meant for one target may go to the other. An account that is not known yet is taken for the same.
func sameTarget(a, b cloudwatch.Target) bool {
	if a.Account == "" || b.Account == "" {
		a.Account, b.Account = "", ""
	}
	return a == b
}
