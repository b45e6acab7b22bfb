package journal

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

func TestOpenCreatesAPrivateFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	f, err := Open(dir + "/")
	if err != nil {
		t.Fatal(err)
	}
	if f.Path() != dir {
		t.Fatal(f.Path())
	}
	j := newPipe(t, f, "k3v9x2ab.err", Options{})
	for _, d := range []string{dir, j.Path()} {
		if st, err := os.Stat(d); err != nil || st.Mode().Perm() != 0o700 {
			t.Fatal(d, st.Mode(), err)
		}
	}
	files, err := os.ReadDir(j.Path())
	if err != nil || len(files) < 6 {
		t.Fatal(files, err)
	}
	for _, e := range files {
		if st, err := e.Info(); err != nil || st.Mode().Perm() != 0o600 {
			t.Fatal(e.Name(), st.Mode(), err)
		}
	}
	if v, err := os.ReadFile(filepath.Join(dir, versionName)); err != nil || string(v) != "1\n" {
		t.Fatalf("%q %v", v, err)
	}
	if _, err := Open(dir); err != nil { // for the second time
		t.Fatal(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Run("symbolic link", func(t *testing.T) {
		link := filepath.Join(t.TempDir(), "link")
		if err := os.Symlink(t.TempDir(), link); err != nil {
			t.Fatal(err)
		}
		var want *SymlinkError
		for _, dir := range []string{link, link + "/"} {
			if _, err := Open(dir); !errors.As(err, &want) {
				t.Fatal(err)
			}
		}
	})
	t.Run("a file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		var want *SymlinkError
		if _, err := Open(path); !errors.As(err, &want) {
			t.Fatal(err)
		}
		var unwritable *UnwritableError
		if _, err := Open(filepath.Join(path, "below")); !errors.As(err, &unwritable) {
			t.Fatal(err)
		}
	})
	for _, v := range []string{"2\n", "1.1", "", "one"} {
		t.Run("version "+v, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, versionName), []byte(v), 0o600); err != nil {
				t.Fatal(err)
			}
			var want *VersionError
			if _, err := Open(dir); !errors.As(err, &want) {
				t.Fatal(err)
			}
			if files, _ := os.ReadDir(dir); len(files) != 1 {
				t.Fatal("Open changed the folder:", files)
			}
			if got, _ := os.ReadFile(filepath.Join(dir, versionName)); string(got) != v {
				t.Fatalf("the version is now %q", got)
			}
		})
	}
	t.Run("another owner", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.Chown(dir, 12345, -1); err != nil {
			t.Skip("NOT TESTED: only root can give a folder to another user:", err)
		}
		var want *OwnerError
		if _, err := Open(dir); !errors.As(err, &want) || want.Owner != 12345 {
			t.Fatal(err)
		}
		if files, _ := os.ReadDir(dir); len(files) != 0 {
			t.Fatal("Open changed the folder:", files)
		}
	})
	t.Run("input folder is a link", func(t *testing.T) {
		f := openFolder(t)
		if err := os.Symlink(t.TempDir(), filepath.Join(f.Path(), "linked")); err != nil {
			t.Fatal(err)
		}
		var want *SymlinkError
		if _, err := f.NewPipe("linked", nil, Options{}); !errors.As(err, &want) {
			t.Fatal(err)
		}
		if _, err := f.Recover("linked"); !errors.As(err, &want) {
			t.Fatal(err)
		}
	})
	t.Run("not writable", func(t *testing.T) {
		if os.Geteuid() == 0 {
			t.Skip("NOT TESTED: root may write everywhere")
		}
		dir := t.TempDir()
		os.Chmod(dir, 0o500)
		var want *UnwritableError
		if _, err := Open(dir); !errors.As(err, &want) {
			t.Fatal(err)
		}
	})
}

func TestIDs(t *testing.T) {
	f := openFolder(t)
	for _, id := range []string{"", ".", "..", "a/b", "../x", ".hidden", "UPPER", "nul\x00", string(make([]byte, 65))} {
		if _, err := f.NewPipe(id, nil, Options{}); err == nil {
			t.Fatalf("NewPipe accepted the id %q", id)
		}
		if _, err := f.Recover(id); err == nil {
			t.Fatalf("Recover accepted the id %q", id)
		}
	}
	seen := map[string]bool{}
	form := regexp.MustCompile(`^[a-z0-9]{8}$`)
	for range 10_000 {
		id := NewID()
		if !form.MatchString(id) || seen[id] {
			t.Fatalf("the new id %q is malformed or not new (seen before: %t)", id, seen[id])
		}
		seen[id] = true
	}
}

// TestLockOnARemovedFile: two processes want the lock while its owner removes the input. The lock
// on a file that was removed does not count.
func TestLockOnARemovedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), lockName)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !stillThere(f, path) {
		t.Fatal("stillThere is false for a new file")
	}
	os.Remove(path)
	if stillThere(f, path) {
		t.Fatal("stillThere is true for a removed file")
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if stillThere(f, path) {
		t.Fatal("stillThere is true although another file has the name")
	}
}

func TestOptionsAreChecked(t *testing.T) {
	f := openFolder(t)
	for _, o := range []Options{{SegmentBytes: -1}, {MaxBytes: -1}, {Sync: -1}} {
		if _, err := f.NewPipe("x", nil, o); err == nil {
			t.Fatalf("NewPipe accepted %+v", o)
		}
	}
	if _, err := InMemory(-1); err == nil {
		t.Fatal("InMemory accepted a negative bound")
	}
}

func TestAboutIsReplacedAndKept(t *testing.T) {
	f := openFolder(t)
	j := newPipe(t, f, "about", Options{})
	if err := j.SetAbout([]byte("two")); err != nil || string(j.About()) != "two" {
		t.Fatal(err)
	}
	j.Close()
	if j = recoverAs[*Pipe](t, f, "about"); string(j.About()) != "two" {
		t.Fatalf("%s", j.About())
	}
}
