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

// lookForRoom is how often withRoom looks for room on a full disk while it ships what fills the
// disk.
const lookForRoom = 100 * time.Millisecond

// noRoom returns the error of a start on a full disk.
func (s *Session) noRoom(err error) error {
	return optionError("--journal-dir", "%s cannot take another input: %v, or name a folder on another disk", s.folder.Path(), err)
}

// withRoom calls begin, which makes an input in the journal. If the disk has no room for it,
// withRoom ships what earlier processes left there until there is room. Otherwise, the disk would
// stay full because it is full.
func (s *Session) withRoom(ctx context.Context, begin func() error) error {
	err := begin()
	if !errors.Is(err, journal.ErrFull) {
		return err
	}
	left := s.leftovers()
	if len(left) == 0 {
		return s.noRoom(err)
	}
	s.log.Warn(fmt.Sprintf("%v; what earlier processes left there is shipped first, and the new input waits until there is room", err), append(logfield.Of(err), logfield.Folder(s.folder.Path()))...)

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
			// The inputs that are not shipped yet are taken over again, beside the new input. The
			// guards end first: once the journals are closed, they would find unlimited room and
			// continue stopped commands.
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
