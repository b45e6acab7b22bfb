package shipper

import (
	"reflect"
	"strings"
	"testing"

	"perstack-shipper/shipper/readback"
)

// Readers must know every member of a seal. If verify meets an unknown member, it assumes a later
// version and cannot judge the seal. If you add a member to sealRecord, add it to readback.Seal,
// and think about what it means for a proof.
func TestReadersKnowTheSeal(t *testing.T) {
	written, known := reflect.TypeFor[sealRecord](), reflect.TypeFor[readback.Seal]()
	for i := range written.NumField() {
		name, _, _ := strings.Cut(written.Field(i).Tag.Get("json"), ",")
		_, found := known.FieldByNameFunc(func(field string) bool {
			f, _ := known.FieldByName(field)
			tag := f.Tag.Get("json")
			return tag == name || tag == "" && strings.EqualFold(field, name)
		})
		if !found || name == "" {
			t.Errorf("readback.Seal does not list %q", name)
		}
	}
}
