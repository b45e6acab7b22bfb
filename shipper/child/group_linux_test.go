package child

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"perstack-shipper/shipper/journal"
)

// outlives starts a shell script whose stdout is a journal of its own, and so is its stderr.
func outlives(t *testing.T, folder *journal.Folder, script string) (c *Child, stdout, stderr *journal.Journal) {
	t.Helper()
	stdout, out, err := folder.NewChild("a", nil, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	stderr, errs, err := folder.NewChild("a.err", nil, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer errs.Close()
	t.Cleanup(func() { stdout.Close(); stderr.Close() })
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	c = New()
	t.Cleanup(c.Close)
	if err := c.Start("/bin/sh", []string{"sh", "-c", script}, null, out, errs); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Signal(syscall.SIGKILL) })
	return c, stdout, stderr
}

func openFolder(t *testing.T) *journal.Folder {
	t.Helper()
	folder, err := journal.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

func goesOn(t *testing.T, j *journal.Journal) {
	t.Helper()
	before := j.Size()
	until(t, "it goes on", func() bool { return j.Size() != before })
}

// A group is known by what it writes, is stopped and continued, and no other is.
func TestGroup(t *testing.T) {
	folder := openFolder(t)
	c, j, silent := outlives(t, folder, `exec 2>&-; while :; do echo x; sleep 0.01; done`)
	other, out, err := folder.NewChild("b", nil, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	defer out.Close()
	until(t, "it writes", func() bool { return j.Size() > 0 })
	for group, j := range map[int]*journal.Journal{c.Pid(): other, syscall.Getpgrp(): j, 0: j, 1: j} {
		if FindGroup(group, j) != nil {
			t.Errorf("group %d is taken for what writes input %s", group, j.ID())
		}
	}
	if FindGroup(c.Pid(), silent) != nil {
		t.Error("it is taken for what writes to the stderr that it has closed")
	}
	for range 2 {
		g := FindGroup(c.Pid(), j)
		if g == nil || g.Held() {
			t.Fatalf("%+v", g)
		}
		g.Hold()
		until(t, "it is stopped", func() bool { return stopped(t, c) })
		if !g.Held() {
			t.Error("it is not held")
		}
		if g = FindGroup(c.Pid(), j); g == nil || !g.Held() { // as the next process sees it
			t.Fatalf("%+v", g)
		}
		g.Release()
		goesOn(t, j)
		if g.Held() {
			t.Error("it is held")
		}
	}
	g := FindGroup(c.Pid(), j)
	g.outputs, g.members = []*journal.Journal{other}, nil // as if the id were another's by now
	g.Hold()
	goesOn(t, j)
}

// Who only reads what a command wrote is not the command, though it has the id of its group by now.
func TestGroupOfAReader(t *testing.T) {
	j, out, err := openFolder(t).NewChild("a", nil, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	defer out.Close()
	if _, err := out.WriteString("x\n"); err != nil {
		t.Fatal(err)
	}
	c, said := shell(t, fmt.Sprintf(`exec <%s/00000000000000000000.output; read x; echo $x; sleep 100`, j.Path()))
	until(t, "it reads", func() bool { return strings.Contains(said(), "x") })
	if FindGroup(c.Pid(), j) != nil {
		t.Error("who reads the output is taken for who writes it")
	}
}

// When who wrote the output has been killed, the others of its group are continued all the same: servers that it started may have no file of ours open.
func TestGroupOfOneThatIsKilled(t *testing.T) {
	server := filepath.Join(t.TempDir(), "server")
	c, j, _ := outlives(t, openFolder(t), fmt.Sprintf(`sh -c 'while :; do echo x; sleep 0.01; done' >%s 2>&1 & echo x; exec sleep 100`, server))
	size := func() int64 {
		info, err := os.Stat(server)
		if err != nil {
			return 0
		}
		return info.Size()
	}
	until(t, "both write", func() bool { return j.Size() > 0 && size() > 0 })
	g := FindGroup(c.Pid(), j)
	if g == nil {
		t.Fatal("it is not found")
	}
	t.Cleanup(func() { _ = syscall.Kill(-c.Pid(), syscall.SIGKILL) })
	g.Hold()
	until(t, "it is stopped", func() bool { return stopped(t, c) })
	if err := syscall.Kill(c.Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "it has ended", c.Ended)
	before := size()
	g.Release()
	until(t, "the server goes on", func() bool { return size() != before })
}

// A group is the same when its output was truncated, and goes on as another input.
func TestGroupThatTruncates(t *testing.T) {
	c, j, _ := outlives(t, openFolder(t), `while :; do echo x; sleep 0.01; done`)
	until(t, "it writes", func() bool { return j.Size() > 9 })
	if _, err := j.ReadAt(make([]byte, 9), 0); err != nil {
		t.Fatal(err)
	}
	g := FindGroup(c.Pid(), j)
	if g == nil {
		t.Fatal("it is not found")
	}
	g.Hold()
	until(t, "it is stopped", func() bool { return stopped(t, c) })
	if err := os.Truncate(j.Path()+"/00000000000000000000.output", 0); err != nil {
		t.Fatal(err)
	}
	j.Size()
	next, err := j.Succeed("c")
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	if err := j.Remove(); err != nil {
		t.Fatal(err)
	}
	g.Release()
	goesOn(t, next)
}
