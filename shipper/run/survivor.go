package run

import (
	"context"
	"fmt"
	"sync"

	"go.uber.org/zap"

	"perstack-shipper/shipper/guard"
	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/logfield"
)

// survivor is a command that outlived its shipper. It still writes the file that is its stdout, so
// it must be kept from filling the disk. If it was stopped for lack of room when its shipper was
// killed, nobody else would continue it.
//
// leftovers finds survivors (noteSurvivor), and guardSurvivors guards them while their inputs are
// shipped. That happens once in most sessions. If the disk is full at the start, it happens twice:
// withRoom ships what is left, closes the journals, and leaves the rest to the second time.
type survivor struct {
	group   *guard.Group
	journal *journal.Output // nil: withRoom has closed it; if it stays nil, all of it is shipped
}

// noteSurvivor remembers the command that writes j, if it is still running. group is the process
// group that the journal names. Several journals may name the same one, because each container
// counts its processes from 1.
func (s *Session) noteSurvivor(group int, j *journal.Output) {
	if known := s.survivors[j.ID()]; known != nil {
		known.journal = j
		return
	}
	found := guard.FindGroup(group, j)
	if found == nil {
		return
	}
	if found.Stopped() {
		s.log.Warn(fmt.Sprintf("the command of an earlier process (process group %d) is stopped until there is room again", group), zap.Int("processGroup", group))
	}
	if s.survivors == nil {
		s.survivors = map[string]*survivor{}
	}
	s.survivors[j.ID()] = &survivor{group: found, journal: j}
}

// guardSurvivors guards the survivors until stop is called. A command that is stopped then stays
// stopped, until another guard or freeSurvivors continues it.
func (s *Session) guardSurvivors() (stop func()) {
	guarding, cancel := context.WithCancel(context.Background())
	var guards sync.WaitGroup
	for input, v := range s.survivors {
		if v.journal == nil { // everything it wrote is shipped, so it has ended
			v.free()
			delete(s.survivors, input)
			continue
		}
		g, err := guard.New(v.group, guard.Options{Limit: s.keep.MaxBytes, Found: true, Patience: s.patience.Guard, Log: s.log}, v.journal)
		if err != nil {
			s.log.Error(err.Error(), append(logfield.Of(err), logfield.Input(input))...)
			continue
		}
		guards.Go(func() { g.Run(guarding) })
	}
	return func() {
		cancel()
		guards.Wait()
	}
}

// forgetJournals forgets the journals that withRoom has closed. leftovers calls it before it takes
// over what is left of them.
func (s *Session) forgetJournals() {
	for _, v := range s.survivors {
		v.journal = nil
	}
}

// freeSurvivors continues the survivors that are stopped, because nobody else would once this
// process has ended.
func (s *Session) freeSurvivors() {
	for _, v := range s.survivors {
		v.free()
	}
	s.survivors = nil
}

func (v *survivor) free() {
	if v.group.Stopped() {
		v.group.Continue()
	}
}
