package readback

import (
	"cmp"
	"math"
	"slices"
)

// known holds the ranges of seqs for which the seal of an input says why they are missing.
type known struct{ rejected, excluded [][2]int64 }

type reason int

const (
	missing  reason = iota // the seal gives no reason
	rejected               // CloudWatch refused it when it was shipped
	excluded               // --exclude-type left it out
)

func newKnown(seal *Seal) known {
	if seal == nil {
		return known{}
	}
	return known{ascending(seal.Rejected), ascending(seal.Excluded)}
}

// ascending sorts the ranges and drops invalid ones, since a seal could hold anything.
func ascending(ranges [][2]int64) [][2]int64 {
	var out [][2]int64
	for _, r := range ranges {
		if r[0] >= 1 && r[0] <= r[1] {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b [2]int64) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
	return out
}

// at returns why seq is missing, and the last seq to which the same reason applies.
func (k known) at(seq int64) (why reason, until int64) {
	until = math.MaxInt64 - 1
	for _, of := range []struct {
		ranges [][2]int64
		why    reason
	}{{k.rejected, rejected}, {k.excluded, excluded}} {
		i, _ := slices.BinarySearchFunc(of.ranges, seq, func(r [2]int64, seq int64) int { return cmp.Compare(r[1], seq) })
		switch {
		case i == len(of.ranges):
		case of.ranges[i][0] <= seq:
			return of.why, of.ranges[i][1]
		default:
			until = min(until, of.ranges[i][0]-1)
		}
	}
	return missing, until
}

// skip returns the last seq of the excluded lines that directly follow seq, or seq itself if none
// do. It does not skip rejected lines, because those are lost.
func (k known) skip(seq int64) int64 {
	if len(k.excluded) == 0 {
		return seq
	}
	for {
		why, until := known{excluded: k.excluded}.at(seq + 1)
		if why != excluded {
			return seq
		}
		seq = until
	}
}
