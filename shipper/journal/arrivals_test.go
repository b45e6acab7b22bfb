package journal

import (
	"testing"
	"time"

	"perstack-shipper/shipper/disk"
)

func TestArrivalIsTheSameAfterARestart(t *testing.T) {
	f := openFolder(t)
	j := newPipe(t, f, "timed", Options{})
	began := time.Now().UnixMilli()
	offs := []int64{0}
	for i := range 4 {
		write(t, j, make([]byte, 100+i))
		offs = append(offs, j.Size()-1)
		time.Sleep(40 * time.Millisecond) // real time is what is recorded
	}
	var first []int64
	for _, off := range offs {
		first = append(first, j.ArrivalAt(off))
	}
	for i, ms := range first {
		if ms < began || ms > time.Now().UnixMilli() || i > 0 && ms < first[i-1] {
			t.Fatalf("arrivals %v, began %d", first, began)
		}
	}
	if first[4] == first[0] {
		t.Fatal("120 ms later is the same time")
	}
	j.Close()
	j = recoverAs[*Pipe](t, f, "timed")
	for i := len(offs) - 1; i >= 0; i-- { // backwards, too
		if got := j.ArrivalAt(offs[i]); got != first[i] {
			t.Fatalf("arrival at %d was %d, is %d", offs[i], first[i], got)
		}
	}
}

func TestLongIndexOfArrivalsIsFreedAndFound(t *testing.T) {
	f := openFolder(t)
	j := newPipe(t, f, "long", Options{})
	const n = 100_000
	write(t, j, make([]byte, n*10))
	for i := range int64(n) {
		j.arr.put(i*10, 1_700_000_000_000+i*100)
	}
	for i := range int64(n) {
		if got := j.ArrivalAt(i*10 + 3); got != 1_700_000_000_000+i*100 {
			t.Fatalf("arrival %d is %d", i, got)
		}
		if i <= n/2 && i%1000 == 0 {
			ack(t, j, i*10, "")
		}
	}
	if blocks, _, err := disk.Blocks(j.arr.f); err != nil || probePunch(j.st, 4096) && blocks > 1_600_000/2+2*arrivalFree {
		t.Fatal("index takes", blocks, err)
	}
	j.Close()
	j = recoverAs[*Pipe](t, f, "long")
	if j.Damage() != nil {
		t.Fatal(j.Damage())
	}
	if got := j.ArrivalAt(500_009); got != 1_700_000_000_000+50_000*100 {
		t.Fatal(got)
	}
}

func TestIndexOnlyGoesUp(t *testing.T) {
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
