//go:build !portable

package guard

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"perstack-shipper/shipper/child"
	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/testkit/await"
)

// outlives starts a shell script that writes its stdout to a journal.
func outlives(t *testing.T, folder *journal.Folder, script string) (c *child.Child, stdout *journal.Output) {
	t.Helper()
	stdout, out, err := folder.NewOutput("a", nil, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	t.Cleanup(func() { stdout.Close() })
	return start(t, script, out), stdout
}

func openFolder(t *testing.T) *journal.Folder {
	t.Helper()
	folder, err := journal.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

func goesOn(t *testing.T, j *journal.Output) {
	t.Helper()
	before := j.Size()
	await.Until(t, "the command goes on", func() bool { return j.Size() != before })
}

// FindGroup finds a group by what it writes and finds no other, and Stop and Continue reach it.
func TestGroup(t *testing.T) {
	folder := openFolder(t)
	c, j := outlives(t, folder, `while :; do echo x; sleep 0.01; done`)
	other, out, err := folder.NewOutput("b", nil, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	defer out.Close()
	await.Until(t, "the command writes", func() bool { return j.Size() > 0 })
	for group, j := range map[int]*journal.Output{c.Pid(): other, syscall.Getpgrp(): j, 0: j, 1: j} {
		if FindGroup(group, j) != nil {
			t.Errorf("group %d is found as the writer of input %s", group, j.ID())
		}
	}
	for range 2 {
		g := FindGroup(c.Pid(), j)
		if g == nil || g.Stopped() {
			t.Fatalf("%+v", g)
		}
		g.Stop()
		if !g.Stopped() {
			t.Error("it is not stopped")
		}
		await.Until(t, "the next process finds it stopped", func() bool {
			g = FindGroup(c.Pid(), j)
			return g != nil && g.Stopped()
		})
		g.Continue()
		goesOn(t, j)
		if g.Stopped() {
			t.Error("it is stopped")
		}
	}
	g := FindGroup(c.Pid(), j)
	g.output, g.members = other, nil // as if the id belonged to another group by now
	g.Stop()
	goesOn(t, j)
}

// A process that only reads a command's output is not that command, even if its group has the same
// id.
func TestGroupOfAReader(t *testing.T) {
	j, out, err := openFolder(t).NewOutput("a", nil, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	defer out.Close()
	if _, err := out.WriteString("x\n"); err != nil {
		t.Fatal(err)
	}
	reads := filepath.Join(t.TempDir(), "reads")
	c := start(t, fmt.Sprintf(`exec <%s/00000000000000000000.output; read head; read x; : >%s; sleep 100`, j.Path(), reads), null(t))
	await.Until(t, "the script reads", func() bool {
		_, err := os.Stat(reads)
		return err == nil
	})
	if FindGroup(c.Pid(), j) != nil {
		t.Error("FindGroup takes a reader of the output for its writer")
	}
}

// If the process that wrote the output has been killed, Continue still continues the rest of its
// group: a server that it started may have none of our files open.
func TestGroupOfOneThatIsKilled(t *testing.T) {
	server := filepath.Join(t.TempDir(), "server")
	c, j := outlives(t, openFolder(t), fmt.Sprintf(`sh -c 'while :; do echo x; sleep 0.01; done' >%s 2>&1 & echo x; exec sleep 100`, server))
	size := func() int64 {
		info, err := os.Stat(server)
		if err != nil {
			return 0
		}
		return info.Size()
	}
	await.Until(t, "both write", func() bool { return j.Size() > 0 && size() > 0 })
	g := FindGroup(c.Pid(), j)
	if g == nil {
		t.Fatal("the group is not found")
	}
	t.Cleanup(func() { _ = syscall.Kill(-c.Pid(), syscall.SIGKILL) })
	g.Stop()
	await.Until(t, "the command is stopped", func() bool { return stopped(t, c) })
	if err := syscall.Kill(c.Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await.Until(t, "the command has ended", c.Ended)
	before := size()
	g.Continue()
	await.Until(t, "the server goes on", func() bool { return size() != before })
}
