package child

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A stopped group is continued by who finds what it writes, and no other is.
func TestContinue(t *testing.T) {
	c, said := shell(t, `while :; do echo x; sleep 0.01; done`)
	file, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/1", c.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(file)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	until(t, "it writes", func() bool { return said() != "" })
	if Continue(c.Pid(), dir) {
		t.Error("it was continued while it ran")
	}
	for _, dir := range []string{dir, link} {
		c.Hold()
		until(t, "it is stopped", func() bool { return stopped(t, c) })
		for group, where := range map[int]string{c.Pid(): t.TempDir(), syscall.Getpgrp(): dir, 0: dir, 1: dir} {
			if Continue(group, where) {
				t.Errorf("group %d was continued for %s", group, where)
			}
		}
		if !stopped(t, c) {
			t.Fatal("it goes on")
		}
		if !Continue(c.Pid(), dir) {
			t.Errorf("it was not continued for %s", dir)
		}
		before := said()
		until(t, "it goes on", func() bool { return said() != before })
	}
}
