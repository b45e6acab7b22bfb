package journal

import (
	"testing"
	"testing/synctest"
	"time"

	"perstack-shipper/shipper/disk"
)

func TestArrivalIsTheSameAfterARestart(t *testing.T) {
	synctest.Test(t, arrivalAfterARestart)
}

func arrivalAfterARestart(t *testing.T) {
	f := openFolder(t)
	j := newPipe(t, f, "timed", Options{})
	began := time.Now().UnixMilli()
	offs := []int64{0}
	for i := range 4 {
		write(t, j, make([]byte, 100+i))
		offs = append(offs, j.Size()-1)
		time.Sleep(40 * time.Millisecond)
	}
	var first []int64
	for _, off := range offs {
		first = append(first, j.ArrivalAt(off))
	}
	for i, ms := range first {
		if ms < began || ms > time.Now().UnixMilli() || i > 0 && ms < first[i-1] {
			t.Fatalf("the arrivals are %v, and the test began at %d", first, began)
		}
	}
	if first[4] == first[0] {
		t.Fatal("bytes written 120 ms later have the same time")
	}
	j.Close()
	j = recoverAs[*Pipe](t, f, "timed")
	for i := len(offs) - 1; i >= 0; i-- { // backwards as well
		if got := j.ArrivalAt(offs[i]); got != first[i] {
			t.Fatalf("the arrival at %d was %d, and is now %d", offs[i], first[i], got)
		}
	}
}

func TestLongIndexOfArrivalsIsFreedAndFound(t *testing.T) {
	f := openFolder(t)
	j := newPipe(t, f, "long", Options{})
	const n = 30_000
	write(t, j, make([]byte, n*10))
	for i := range int64(n) {
		j.arr.put(i*10, 1_700_000_000_000+i*100)
	}
	for i := range int64(n) {
		if got := j.ArrivalAt(i*10 + 3); got != 1_700_000_000_000+i*100 {
			t.Fatalf("the time of arrival %d is %d", i, got)
		}
		if i <= n/2 && i%1000 == 0 {
			ack(t, j, i*10, "")
		}
	}
	if blocks, _, err := disk.Blocks(j.arr.f); err != nil || probePunch(j.st, 4096) && blocks > n*arrivalBytes/2+2*arrivalFree {
		t.Fatalf("the index takes %d bytes (%v)", blocks, err)
	}
	j.Close()
	j = recoverAs[*Pipe](t, f, "long")
	if j.Damage() != nil {
		t.Fatal(j.Damage())
	}
	if got := j.ArrivalAt(n/2*10 + 9); got != 1_700_000_000_000+n/2*100 {
		t.Fatal(got)
	}
}

func TestOffsetsInTheIndexOnlyIncrease(t *testing.T) {
	a, err := createArrivals(dirStore(t.TempDir()), 5)
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	a.put(100, 1000)
	a.put(50, 2000)
	if a.latest() != 100 || a.at(99) != 5 || a.at(100) != 1000 {
		t.Fatal(a.latest(), a.at(99), a.at(100))
	}
}
