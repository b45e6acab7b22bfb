package shipper

import (
	"perstack-shipper/batch"
)

// inputs are the inputs that a Shipper has taken in.
type inputs struct {
	// all holds the inputs by index. A process that follows a folder for months meets any number of
	// files, so the indexes of done ones, listed in free, are used again.
	all  []*input
	free []int
	byID map[string]*input // followed files are also in it by path
	turn int               // picks the input to shape next
}

// place returns the index for the next input.
func (i *inputs) place() int {
	if len(i.free) > 0 {
		return i.free[0]
	}
	return len(i.all)
}

// add stores in at its index, which place returned. id is the input's first name.
func (i *inputs) add(in *input, id string) {
	if in.index < len(i.all) {
		i.all[in.index], i.free = in, i.free[1:]
	} else {
		i.all = append(i.all, in)
	}
	if i.byID == nil {
		i.byID = map[string]*input{}
	}
	i.byID[id], i.byID[in.Shape.Input] = in, in
	if in.Path != "" && in.isFollowed() {
		i.byID[in.Path] = in
	}
}

// forget removes in, which is done, and frees its index.
func (i *inputs) forget(in *input) {
	i.free = append(i.free, in.index)
	for id, other := range i.byID {
		if other == in {
			delete(i.byID, id)
		}
	}
}

// of returns the input that a block belongs to.
func (i *inputs) of(b *batch.Block) *input { return i.all[b.Input] }

// next returns the input whose turn it is.
func (i *inputs) next() *input {
	in := i.all[i.turn%len(i.all)]
	i.turn++
	return in
}
