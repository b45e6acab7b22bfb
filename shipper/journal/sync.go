package journal

// --journal-sync: forcing what was written to the medium, for machines that die. A process that
// dies needs none of it.

import (
	"errors"
	"fmt"
	"time"
)

func (j *Journal) syncLoop() {
	ticks := time.NewTicker(j.header.Sync)
	defer ticks.Stop()
	for {
		select {
		case <-j.stop:
			return
		case <-ticks.C:
			if err := j.syncAll(); err != nil {
				j.setTrouble(fmt.Errorf("input %s: fsync: %w; until it works, a machine that dies may lose what came last", j.id, err))
			}
		}
	}
}

func (j *Journal) syncAll() error {
	return errors.Join(j.src.sync(), j.arr.sync(), j.cur.sync())
}
