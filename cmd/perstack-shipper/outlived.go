package main

import (
	"context"
	"fmt"
	"sync"

	"perstack-shipper/shipper/guard"
	"perstack-shipper/shipper/journal"
)

// This file keeps commands that outlived their shipper from filling the disk: they go on writing the file that is their stdout, and one that was stopped
// for lack of room when its shipper was killed has nobody else to continue it.

// outlived is such a command, and what is left of what it writes.
type outlived struct {
	group   *guard.Group
	journal *journal.Journal // nil: what it wrote is shipped
}

// outlive takes notice of the command that writes j, by its process group, if it is alive.
func (s *session) outlive(group int, j *journal.Journal) {
	if j.Kind() != journal.Child {
		return
	}
	if o := s.outlived[group]; o != nil {
		o.journal = j
		return
	}
	found := guard.FindGroup(group, j)
	if found == nil {
		return
	}
	if found.Held() {
		s.log.Warn(fmt.Sprintf("the command of an earlier process (process group %d) is stopped, and goes on when there is room", group))
	}
	if s.outlived == nil {
		s.outlived = map[int]*outlived{}
	}
	s.outlived[group] = &outlived{group: found, journal: j}
}

// guardOutlived guards them until stop is called. What is stopped then stays so, for the next guard, till freeOutlived.
func (s *session) guardOutlived() (stop func()) {
	guarding, unguard := context.WithCancel(context.Background())
	var beside sync.WaitGroup
	for group, o := range s.outlived {
		if o.journal == nil { // what it wrote is shipped, and it has ended
			o.free()
			delete(s.outlived, group)
			continue
		}
		g, err := guard.New(o.group, guard.Options{Limit: s.keep.MaxBytes, Found: true, Log: s.log}, o.journal)
		if err != nil {
			s.log.Error(err.Error())
			continue
		}
		beside.Go(func() { g.Run(guarding) })
	}
	return func() {
		unguard()
		beside.Wait()
	}
}

// forgetJournals is for journals that are closed, before they are taken over anew.
func (s *session) forgetJournals() {
	for _, o := range s.outlived {
		o.journal = nil
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
