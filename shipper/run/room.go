package run

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"perstack-shipper/shipper"
	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/logfield"
)

// lookForRoom is how often a full disk is looked at while what fills it is shipped.
const lookForRoom = 100 * time.Millisecond

// noRoom is the error of a start on a full disk.
func (s *Session) noRoom(err error) error {
	return optionError("--journal-dir", "%s cannot take another input: %v, or name a folder on another disk", s.folder.Path(), err)
}

// withRoom calls begin, which makes an input in the journal. If the disk has no room for it and
// earlier processes left some of what fills it, that is shipped until there is room: a disk must
// not stay full because it is full.
func (s *Session) withRoom(ctx context.Context, begin func() error) error {
	err := begin()
	if !errors.Is(err, journal.ErrFull) {
		return err
	}
	left := s.leftovers()
	if len(left) == 0 {
		return s.noRoom(err)
	}
	s.log.Warn(fmt.Sprintf("%v; what earlier processes left there is shipped first, and the input waits meanwhile", err), append(logfield.Of(err), logfield.Folder(s.folder.Path()))...)

	shipping, stop := context.WithCancel(ctx)
	defer stop()
	unguard := sync.OnceFunc(s.guardSurvivors())
	defer unguard()
	done := make(chan error, 1)
	go func() {
		_, err := shipper.New(s.options()).Run(shipping, left, nil)
		done <- err
	}()
	look := time.NewTicker(lookForRoom)
	defer look.Stop()
	for {
		select {
		case <-look.C:
			if err = begin(); errors.Is(err, journal.ErrFull) {
				continue
			}
			// What is not shipped yet is taken over again beside the input. The guards end first:
			// they would take journals that are closed for endless room and continue what is
			// stopped.
			unguard()
			stop()
			<-done
			return err
		case <-done:
			if err = begin(); errors.Is(err, journal.ErrFull) {
				return s.noRoom(err)
			}
			return err
		}
	}
}
