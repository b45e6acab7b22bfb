package shipper

import (
	"flag"
	"testing"

	"go.uber.org/goleak"

	"perstack-shipper/shipper/testkit"
)

func TestMain(m *testing.M) {
	testkit.Isolate()
	if err := flag.Set("test.parallel", "6"); err != nil { // most tests wait
		panic(err)
	}
	goleak.VerifyTestMain(m)
}
