package follow

import (
	"context"
	"sync/atomic"
	"time"

	"perstack-shipper/shipper/disk"
	"perstack-shipper/shipper/journal"
)

// Once ends j, an input of a file that nobody follows any more, with what the file holds now. If
// the file ends in an incomplete line, Once waits until that line has stopped growing or ctx has
// ended, and includes it. note is the one in j's snapshot, or nil.
func Once(ctx context.Context, j *journal.File, note *Note, patience Patience) *Input {
	patience = patience.withDefaults()
	f := &file{in: &Input{Journal: j.Journal, file: j, Path: j.FilePath(), live: new(atomic.Int64)}, grew: time.Now()}
	if j.Ended() { // it was truncated while nobody looked
		return f.in
	}
	if note == nil {
		note = &Note{}
	}
	f.pin, f.who = pinOf(j, j.FilePath(), disk.Identity{Dev: note.Dev, Ino: note.Ino})
	f.present = !j.Replaced()
	defer f.unpin()
	s := &Set{o: Options{Reading: ctx, Patience: patience}, idle: true, byIdentity: map[disk.Identity]*file{}, parkedBy: map[disk.Identity]*parked{}}
	tick := time.NewTicker(patience.LastLine / 10)
	defer tick.Stop()
	for !s.pause(f, time.Now()) {
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	return f.in
}
