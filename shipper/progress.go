package shipper

import "crypto/sha256"

// Progress is told, after each block, how far an input was shaped: the offset up to which its lines
// were made into events, the SHA-256 of its bytes up to there, and the job that is under way, "" if
// none is. The goroutine of Run calls it.
type Progress interface {
	Shaped(offset int64, sum [sha256.Size]byte, job string)
}

// tellProgress tells who asked for it how far the input was shaped.
func (in *input) tellProgress() {
	if in.Progress == nil {
		return
	}
	job := ""
	if running := in.running(); running != nil {
		job = running.JobID
	}
	var sum [sha256.Size]byte
	st := in.shaper.State()
	lines, raw, err := st.Digest.Sums()
	switch {
	case err != nil, st.Counts.Bytes != in.window.offset: // the digest is not that of all bytes up to there
	case raw != nil:
		copy(sum[:], raw)
	default:
		copy(sum[:], lines)
	}
	in.Progress.Shaped(in.window.offset, sum, job)
}
