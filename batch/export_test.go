package batch

// Bytes returns the size as the service counts it: the sum of message size + EventOverhead.
func (b *Batch) Bytes() int { return b.bytes }

// Times returns the times of the oldest and the newest event, in milliseconds since 1970.
func (b *Batch) Times() (oldest, newest int64) { return b.oldest, b.newest }
