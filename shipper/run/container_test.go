package run

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"perstack-shipper/shipper"
)

func TestWarnsOfAJournalThatDiesWithItsContainer(t *testing.T) {
	const volume = "/dev/shm"
	dir := filepath.Join("/", "var", "lib") // on the root file system wherever tests run, unless a volume is mounted there
	for _, c := range []struct {
		name, uri, journal string
		warns              bool
	}{
		{"on the container's disk", "http://127.0.0.1:1/v4/x", dir, true},
		{"on a volume", "http://127.0.0.1:1/v4/x", volume, false},
		{"in memory", "http://127.0.0.1:1/v4/x", "", false},
		{"not on ECS", "", dir, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.journal != "" && onSameDisk(c.journal, "/") != (c.journal == dir) {
				t.Skipf("SKIPPED: %s is not on the expected file system here", c.journal)
			}
			t.Setenv(shipper.ECSVariable, c.uri)
			core, logs := observer.New(zap.InfoLevel)
			warnOfContainer(c.journal, zap.New(core))
			said := logs.All()
			if (len(said) == 1) != c.warns || len(said) > 1 {
				t.Fatalf("it logged %v", said)
			}
			if c.warns && (!strings.Contains(said[0].Message, c.journal) || !strings.Contains(said[0].Message, "restartPolicy")) {
				t.Errorf("it logged %q", said[0].Message)
			}
		})
	}
	if onSameDisk(filepath.Join(t.TempDir(), "none"), "/") || !onSameDisk(t.TempDir(), os.TempDir()) {
		t.Error("onSameDisk is wrong about a missing folder, or about two folders on one disk")
	}
}

// A journal on a container's own disk is lost with the container, so no message promises that the
// next start ships the rest.
func TestNoStartIsPromisedWhereNoneComes(t *testing.T) {
	w := newSerialWorld(t)
	if !onSameDisk(filepath.Dir(w.Journal), "/") {
		t.Skipf("NOT TESTED: %s is not on the root file system", w.Journal)
	}
	w.away()
	for _, c := range []struct{ kubernetes, says, saysNot string }{
		{"", "the next start on that folder ships them", "lost with it"},
		{"10.0.0.1", "on this container's own disk, and are lost with it: mount a volume there", "the next start"},
	} {
		t.Setenv(kubernetesVariable, c.kubernetes)
		p := w.ship("{\"jobId\":\"j\"}\n", giveUp(50*time.Millisecond))
		p.wait(Left)
		var left string
		for line := range strings.Lines(p.said()) {
			if strings.Contains(line, "are not delivered (nothing was accepted for 50ms") {
				left = line
			}
		}
		if !strings.Contains(left, c.says) || strings.Contains(left, c.saysNot) {
			t.Errorf("with %s=%q it logs %q", kubernetesVariable, c.kubernetes, left)
		}
	}
}

func TestUnnamedVolumes(t *testing.T) {
	const id = "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
	mount := func(from, at string) string {
		return "612 599 254:1 " + from + " " + at + " rw,relatime - ext4 /dev/vda1 rw\n"
	}
	for _, c := range []struct {
		mounts string
		want   bool
	}{
		{mount("/var/lib/docker/volumes/"+id+"/_data", "/var/lib/perstack-shipper"), true},
		{mount("/k3s/containerd/containers/x/volumes/"+id, "/var/lib/perstack-shipper"), true},
		{mount("/var/lib/docker/volumes/journal/_data", "/var/lib/perstack-shipper"), false},
		{mount("/var/lib/docker/volumes/"+id+"/_data", "/elsewhere"), false},
		{mount("/var/lib/docker/volumes/"+id+"/_data", "/var/lib/perstack-shipper") + mount("/srv", "/var/lib/perstack-shipper"), false},
		{"garbage\n", false},
	} {
		if got := onUnnamedVolume("/var/lib/perstack-shipper", c.mounts); got != c.want {
			t.Errorf("onUnnamedVolume of %s: %t", c.mounts, got)
		}
	}
}
