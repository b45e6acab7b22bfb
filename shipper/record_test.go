package shipper

import (
	"encoding/json"
	"strings"
	"testing"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/readback"
)

// What a seal can say must be known to those who read it: verify takes a member that is not for one
// of a later version, and then cannot tell. Who adds a member to sealRecord adds it to
// readback.Seal, and thinks about what it means for a proof.
func TestReadersKnowTheSeal(t *testing.T) {
	code := 1
	message, err := json.Marshal(sealRecord{
		Shipper: recordHead{"seal", "abcdefgh"}, RawSHA256: "00", Rejected: ranges{{1, 2}}, Truncated: truncations{1, 2}, Streams: []string{"s"},
		CutLine: true, Jobs: []*batch.Job{{JobID: "j"}}, First: true, Exit: &Exit{Code: &code, Signal: "KILL"},
	})
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(strings.NewReader(string(message)))
	d.DisallowUnknownFields()
	if err := d.Decode(new(readback.Seal)); err != nil {
		t.Errorf("%v, of %s", err, message)
	}
}
