package shipper

import (
	"reflect"
	"strings"
	"testing"

	"perstack-shipper/shipper/readback"
)

// What a seal can say must be known to those who read it: verify takes a member that is not for one
// of a later version, and then cannot tell. Who adds a member to sealRecord adds it to
// readback.Seal, and thinks about what it means for a proof.
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
