//go:build linux

package chaos

// This file makes disks so small that journals fill them: tmpfs file systems. If mounting is
// refused, the tests say so and do without.

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

// newDisk mounts a disk of mib MiB at path. It returns nil if mounting is refused.
func newDisk(t testing.TB, path string, mib int, y *tally) *disk {
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	err := unix.Mount("tmpfs", path, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, fmt.Sprintf("size=%dm,mode=700", mib))
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		y.once("mount", func() {
			t.Logf("SKIPPED: no full disks, because mounting a tmpfs is refused here (%v); run the test as root", err)
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

// squeeze takes up space on the disk or gives it back.
func (d *disk) squeeze(rng *rand.Rand) {
	if rng.IntN(3) > 0 {
		d.relax()
		return
	}
	f, err := os.Create(d.filler())
	if err != nil {
		return // no room even for an empty file
	}
	defer f.Close()
	var left syscall.Statfs_t
	if syscall.Statfs(d.path, &left) == nil {
		room := int64(left.Bavail) * left.Bsize
		// Best effort: there may be less space by now.
		_ = unix.Fallocate(int(f.Fd()), 0, 0, max(1, room-int64(rng.IntN(300_000))))
	}
}

// relax gives back what squeeze took.
func (d *disk) relax() { os.Remove(d.filler()) }

func (d *disk) filler() string { return filepath.Join(d.path, "filler") }

// grow makes room, as an operator would: inputs on a full disk wait for that if their rejected
// events cannot be stored.
func (d *disk) grow() error {
	d.relax()
	return unix.Mount("tmpfs", d.path, "tmpfs", unix.MS_REMOUNT|unix.MS_NOSUID|unix.MS_NODEV, "size=256m,mode=700")
}
