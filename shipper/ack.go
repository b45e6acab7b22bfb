package shipper

import (
	"slices"

	"perstack-shipper/batch"
)

// acking is how far an input is acknowledged: by CloudWatch, or because it was set aside.
type acking struct {
	offset  int64          // the cursor's; what lies before it is never read again
	state   batch.State    // the shaper's at offset
	blocks  []*batch.Block // behind offset, in order: shaped, and not acknowledged as a whole
	onTrial int            // events of blocks that are in batches on trial
	account account
	began   cursorState // the cursor's when this process started: the report is about what came since
}

func newAcking(from start) acking {
	a := acking{offset: from.offset, state: from.cursor.State, account: from.cursor.Account, began: from.cursor}
	a.account.Rejected = slices.Clone(a.account.Rejected) // it grows in place
	a.state.Streams = len(from.cursor.Streams)
	return a
}

// pending counts the events that are not acknowledged.
func (a *acking) pending() int {
	n := 0
	for _, b := range a.blocks {
		n += b.Pending
	}
	return n
}

// pass drops the blocks at the front that have no pending events, up to shaping, the block that is
// still being shaped, and returns the last one that it dropped, or nil.
func (a *acking) pass(shaping *block) (last *batch.Block) {
	n := 0
	for n < len(a.blocks) && a.blocks[n].Pending == 0 && (shaping == nil || a.blocks[n] != shaping.Block) {
		n++
	}
	if n == 0 {
		return nil
	}
	last = a.blocks[n-1]
	a.blocks = append(a.blocks[:0], a.blocks[n:]...)
	return last
}

// advance moves the cursor behind the blocks that are acknowledged.
func (in *input) advance() error {
	last := in.ack.pass(in.read.shaping)
	if last == nil {
		return nil
	}
	if last == in.seal.block {
		in.seal.accept()
	}
	return in.persist(last.End, last.State)
}
