package shipper

import (
	"testing"

	"go.uber.org/goleak"

	"perstack-shipper/shipper/testkit"
)

func TestMain(m *testing.M) {
	testkit.Isolate()
	goleak.VerifyTestMain(m)
}
