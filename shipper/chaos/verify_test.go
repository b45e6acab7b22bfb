//go:build linux

package chaos

// This file runs verify at the end, with what the processes read as the originals. Its verdict must
// agree with the comparison.

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"perstack-shipper/shipper/audit/proof"
	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/readback/readbacktest"
)

// verify checks everything that the endpoint ever accepted, and returns where the result disagrees
// with v, the result of the comparison.
func (c *campaign) verify(v verdict) (faults []string) {
	held := readbacktest.Held{}
	for stream, lives := range c.end.held() {
		for _, e := range slices.Concat(lives...) {
			held[stream] = append(held[stream], cloudwatch.Event{Stream: stream, Time: e.Timestamp, Ingested: e.IngestionTime, Message: e.Message})
		}
	}
	byProc := gather(c.end.held(), c.end.fickle, &verdict{})

	var query proof.Verification
	dir := c.t.TempDir()
	want := map[string]proof.Verdict{} // by input
	paused := ""                       // the input that may continue, or whose job may have ended
	for _, in := range c.inputs {
		lines, _ := in.lines()
		all := byProc[in.proc]
		if len(all) == 0 || len(all[0].Lines) == 0 || len(all[0].Seals) == 0 {
			continue
		}
		a := all[0]
		switch {
		case len(in.pieces) > 0:
			if len(all) == 1 {
				want[a.ID] = proof.NotComplete
			}
			continue
		case len(lines) == 0:
			continue
		case in.paused:
			paused = a.ID
		}
		want[a.ID] = proof.Complete
		name := filepath.Join(dir, in.proc)
		if err := os.WriteFile(name, in.data, 0o600); err != nil {
			c.t.Fatal(err)
		}
		query.Originals = append(query.Originals, name)
	}
	if len(want) == 0 {
		return nil
	}
	query.Since = time.Unix(1, 0)
	result, err := proof.Verify(c.t.Context(), held, query, nil)
	if err != nil {
		return []string{fmt.Sprintf("verify: %v", err)}
	}
	for _, job := range result.Jobs {
		for _, in := range job.Inputs {
			expected, known := want[in.ID]
			delete(want, in.ID)
			switch {
			case !known || in.Verdict == expected || in.ID == paused && in.Verdict == proof.CannotTell:
			case v.lost+v.altered > 0 && in.Verdict != proof.Complete: // the comparison found something as well
			default:
				faults = append(faults, fmt.Sprintf("verify calls input %s %q, but the comparison expects %q: %q", in.ID, in.Verdict, expected, in.Why))
			}
		}
	}
	for id := range want {
		faults = append(faults, fmt.Sprintf("verify did not find input %s", id))
	}
	for _, why := range result.Why {
		if v.lost == 0 {
			faults = append(faults, "verify says: "+why)
		}
	}
	if v.lost > 0 && result.Verdict == proof.Complete {
		faults = append(faults, "something is lost, but verify says that everything is complete")
	}
	return faults
}
