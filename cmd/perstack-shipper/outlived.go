package main

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"perstack-shipper/shipper/child"
	"perstack-shipper/shipper/journal"
)

// This file keeps commands that outlived their shipper from filling the disk: they go on writing, and one that was stopped for lack of room when its shipper
// was killed has nobody else to continue it.

// outlived is such a command, and what is left of what it writes.
type outlived struct {
	group    *child.Group
	guard    *child.Guard // nil: it is not guarded
	journals []*journal.Journal
}

// outlive takes notice of the command that writes j, by its process group, if it is alive.
func (s *session) outlive(group int, j *journal.Journal) {
	if o := s.outlived[group]; o != nil {
		o.group.Add(j)
		o.journals = append(o.journals, j)
		return
	}
	found := child.FindGroup(group, j)
	if found == nil {
		return
	}
	if found.Held() {
		s.log.Warn(fmt.Sprintf("the command of an earlier process (process group %d) is stopped, and goes on when there is room", group))
	}
	if s.outlived == nil {
		s.outlived = map[int]*outlived{}
	}
	s.outlived[group] = &outlived{group: found, journals: []*journal.Journal{j}}
}

// moved takes notice that the output was of a command goes on as j: it was truncated.
func (s *session) moved(was, j *journal.Journal) {
	for _, o := range s.outlived {
		if slices.Contains(o.journals, was) {
			o.group.Add(j)
			o.journals = append(o.journals, j)
			if o.guard != nil {
				o.guard.Add(j)
			}
		}
	}
}

// guardOutlived guards them until stop is called. What is stopped then stays so, for the next guard, till freeOutlived.
func (s *session) guardOutlived() (stop func()) {
	guarding, unguard := context.WithCancel(context.Background())
	var beside sync.WaitGroup
	for group, o := range s.outlived {
		if len(o.journals) == 0 { // what it wrote is shipped, and it has ended
			o.free()
			delete(s.outlived, group)
			continue
		}
		guard, err := child.NewGuard(o.group, child.GuardOptions{Limit: s.keep.MaxBytes, Stuck: func() {}, Found: true, Log: s.log}, o.journals...)
		if err != nil {
			s.log.Error(err.Error())
			continue
		}
		o.guard = guard
		beside.Go(func() { guard.Run(guarding) })
	}
	return func() {
		unguard()
		beside.Wait()
	}
}

// forgetJournals is for journals that are closed, before they are taken over anew.
func (s *session) forgetJournals() {
	for _, o := range s.outlived {
		o.guard, o.journals = nil, nil
	}
}

// freeOutlived lets them go on, as far as they are stopped: nobody else would continue them when this process has ended.
func (s *session) freeOutlived() {
	for _, o := range s.outlived {
		o.free()
	}
	s.outlived = nil
}

func (o *outlived) free() {
	if o.group.Held() {
		o.group.Release()
	}
}
