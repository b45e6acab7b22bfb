package child

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A group is known by what it writes, is stopped and continued, and no other is.
func TestGroup(t *testing.T) {
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
	goesOn := func() {
		t.Helper()
		before := said()
		until(t, "it goes on", func() bool { return said() != before })
	}
	for group, where := range map[int]string{c.Pid(): t.TempDir(), syscall.Getpgrp(): dir, 0: dir, 1: dir} {
		if FindGroup(group, where) != nil {
			t.Errorf("group %d is taken for what writes in %s", group, where)
		}
	}
	for _, dir := range []string{dir, link} {
		g := FindGroup(c.Pid(), dir)
		if g == nil || g.Held() {
			t.Fatalf("in %s: %+v", dir, g)
		}
		g.Hold()
		until(t, "it is stopped", func() bool { return stopped(t, c) })
		if !g.Held() {
			t.Error("it is not held")
		}
		if g = FindGroup(c.Pid(), dir); g == nil || !g.Held() { // as the next process sees it
			t.Fatalf("in %s: %+v", dir, g)
		}
		g.Release()
		goesOn()
		if g.Held() {
			t.Error("it is held")
		}
	}
	g := FindGroup(c.Pid(), dir)
	g.dir = t.TempDir() // as if the id were another's by now
	g.Hold()
	goesOn()
}
