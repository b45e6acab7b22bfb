package shipper

import (
	"perstack-shipper/batch"
	"perstack-shipper/shipper/journal"
)

// inputs are those that a Shipper has taken in.
type inputs struct {
	// all holds them by their index. Whoever follows a folder for months sees any number of files:
	// the places of those that are done, which free lists, are used again.
	all  []*input
	free []int
	byID map[string]*input // of followed files, by path, too
	turn int               // whose block is shaped next
}

// place returns the index that the next input gets.
func (i *inputs) place() int {
	if len(i.free) > 0 {
		return i.free[0]
	}
	return len(i.all)
}

// add takes in at its index, which place gave. id is what it was called at first.
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
	if in.Path != "" && in.Journal.Kind() == journal.KindFile {
		i.byID[in.Path] = in
	}
}

// forget makes the place of in, which is done, free for another.
func (i *inputs) forget(in *input) {
	i.free = append(i.free, in.index)
	for id, other := range i.byID {
		if other == in {
			delete(i.byID, id)
		}
	}
}

// of returns the input of a block.
func (i *inputs) of(b *batch.Block) *input { return i.all[b.Input] }

// next returns the input whose turn it is.
func (i *inputs) next() *input {
	in := i.all[i.turn%len(i.all)]
	i.turn++
	return in
}
