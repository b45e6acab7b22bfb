package batch_test

import (
	"flag"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"perstack-shipper/batch"
)

func TestMain(m *testing.M) {
	if batch.UnderRace { // see batch.Large
		if err := flag.Set("rapid.checks", "15"); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

// recordings returns the output of real runs: the recordings in the repository and, if they are
// next to it, all others.
func recordings(t testing.TB) map[string][]byte {
	t.Helper()
	all, err := readRecordings()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatal("no recordings")
	}
	return all
}

var readRecordings = sync.OnceValues(func() (map[string][]byte, error) {
	all := map[string][]byte{}
	for _, pattern := range []string{"../../shared/recordings/*", "../cmd/perstack-shipper/testdata/recordings/*"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			all[filepath.Base(file)] = data
		}
	}
	return all, nil
})
