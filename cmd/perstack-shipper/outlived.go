package main

import (
	"context"
	"fmt"
	"sync"

	"perstack-shipper/shipper/child"
	"perstack-shipper/shipper/journal"
)

// This file keeps commands that outlived their shipper from filling the disk: they go on writing, and one that was stopped for lack of room when its shipper
// was killed has nobody else to continue it.

// outlived is such a command, and what is left of what it writes.
type outlived struct {
	group    *child.Group
	journals []*journal.Journal
}

// outlive takes notice of the command that writes j, by its process group, if it is alive.
func (s *session) outlive(group int, j *journal.Journal) {
	o := s.outlived[group]
	if o == nil {
		found := child.FindGroup(group, j.Path())
		if found == nil {
			return
		}
		if found.Held() {
			s.log.Warn(fmt.Sprintf("the command of an earlier process (process group %d) is stopped, and goes on when there is room", group))
		}
		if s.outlived == nil {
			s.outlived = map[int]*outlived{}
		}
		o = &outlived{group: found}
		s.outlived[group] = o
	}
	o.journals = append(o.journals, j)
}

// guardOutlived guards them until stop is called. Then they go on, as far as they are stopped: nobody else would continue them.
func (s *session) guardOutlived() (stop func()) {
	guarding, unguard := context.WithCancel(context.Background())
	var beside sync.WaitGroup
	for _, o := range s.outlived {
		guard, err := child.NewGuard(o.group, child.GuardOptions{Limit: s.keep.MaxBytes, Stuck: func() {}, Found: true, Log: s.log}, o.journals...)
		if err != nil {
			s.log.Error(err.Error())
			continue
		}
		beside.Go(func() { guard.Run(guarding) })
	}
	return func() {
		unguard()
		beside.Wait()
		for _, o := range s.outlived {
			if o.group.Held() {
				o.group.Release()
			}
		}
		s.outlived = nil
	}
}
