//go:build linux

package chaos

// A disk so small that journals fill it: a tmpfs. Where mounting is refused there is none, and that
// is said.

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

type disk struct {
	path string
	mib  int
}

// newDisk mounts a disk of so many MiB at path, or returns nil.
func newDisk(t testing.TB, path string, mib int, y *tally) *disk {
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	err := unix.Mount("tmpfs", path, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, fmt.Sprintf("size=%dm,mode=700", mib))
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		y.once("mount", func() {
			t.Logf("SKIPPED: no full disks, for mounting a tmpfs is refused here (%v); run it as root", err)
		})
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(path, 0); err != nil {
			t.Error(err)
		}
	})
	return &disk{path, mib}
}

// squeeze has somebody else take or give back space.
func (d *disk) squeeze(rng *rand.Rand) {
	if rng.IntN(3) > 0 {
		d.relax()
		return
	}
	f, err := os.Create(d.filler())
	if err != nil {
		return // no room even for that
	}
	defer f.Close()
	var left syscall.Statfs_t
	if syscall.Statfs(d.path, &left) == nil {
		room := int64(left.Bavail) * left.Bsize
		_ = unix.Fallocate(int(f.Fd()), 0, 0, max(1, room-int64(rng.IntN(300_000)))) // what is not there cannot be taken
	}
}

// relax gives back what squeeze took.
func (d *disk) relax() { os.Remove(d.filler()) }

func (d *disk) filler() string { return filepath.Join(d.path, "filler") }

// grow is the operator who makes room: with rejected events that found none beside them, the inputs
// of a full disk wait for that.
func (d *disk) grow() error {
	d.relax()
	return unix.Mount("tmpfs", d.path, "tmpfs", unix.MS_REMOUNT|unix.MS_NOSUID|unix.MS_NODEV, "size=256m,mode=700")
}
