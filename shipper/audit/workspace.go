package audit

// This file writes files into a workspace, all or none. It writes them to a staging folder first,
// and moves them to their places once all have been written.

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"perstack-shipper/shipper/quantity"
)

// workspace is the folder that receives the files. No name can lead out of it, not even through a
// symbolic link.
type workspace struct {
	dir     string
	root    *os.Root
	made    []string // folders that were created, up to and including dir; outermost first
	staging string   // the staging folder below dir, or "" before the first file
	moved   []move
	folder  []string // folders that were created below dir for the files
}

// move is a file that was moved to its place.
type move struct {
	name string
	old  string // where its predecessor is in the staging folder, or "" if it had none
}

func openWorkspace(dir string) (*workspace, error) {
	w := &workspace{dir: dir}
	for at := dir; ; at = parentOf(at) {
		if _, err := os.Stat(at); !errors.Is(err, fs.ErrNotExist) || at == parentOf(at) {
			break
		}
		w.made = slices.Insert(w.made, 0, at)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		w.close()
		return nil, w.explain(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		w.close()
		return nil, w.explain(err)
	}
	w.root = root
	return w, nil
}

func parentOf(dir string) string {
	if i := strings.LastIndexByte(strings.TrimRight(dir, "/"), '/'); i > 0 {
		return dir[:i]
	} else if i == 0 {
		return "/"
	}
	return "."
}

// put stages a file. A later file with the same name replaces it.
func (w *workspace) put(name string, data []byte) error {
	if w.staging == "" {
		w.staging = ".perstack-shipper-restore-" + rand.Text()
		if err := w.root.Mkdir(w.staging, 0o700); err != nil {
			w.staging = ""
			return w.explain(err)
		}
	}
	at := path.Join(w.staging, "new", name)
	if err := w.root.MkdirAll(path.Dir(at), 0o777); err != nil {
		return w.explain(err)
	}
	if err := w.root.WriteFile(at, data, 0o666); err != nil {
		return w.explain(err)
	}
	return nil
}

// commit moves the files to their places. If it fails, everything is as it was before.
func (w *workspace) commit(ctx context.Context, done *Restored, force bool) error {
	if w.staging == "" {
		return nil
	}
	if !force {
		if err := w.refuseDifferent(ctx); err != nil {
			return err
		}
	}
	err := w.each(func(name string) error {
		size, same, err := w.place(name)
		if err != nil {
			return err
		}
		if path.Base(path.Dir(name)) == "checkpoints" {
			done.Checkpoints++
		} else {
			done.Events++
		}
		done.Bytes += size
		if same {
			done.Unchanged++
		}
		return ctx.Err()
	})
	if err != nil {
		w.undo()
		return err
	}
	w.made, w.moved = nil, nil
	return nil
}

// refuseDifferent returns an error if a file exists at the place of a staged file and differs from
// it.
func (w *workspace) refuseDifferent(ctx context.Context) error {
	var differs int64
	var first string
	err := w.each(func(name string) error {
		state, err := w.compare(name)
		if err != nil {
			return err
		}
		if state == different {
			if differs++; first == "" {
				first = name
			}
		}
		return ctx.Err()
	})
	if err != nil || differs == 0 {
		return err
	}
	what := path.Join(w.dir, first) + " already exists and differs"
	if differs > 1 {
		what = fmt.Sprintf("%s and %s already exist and differ", path.Join(w.dir, first), quantity.Count(differs-1, "more file", "more files"))
	}
	return fmt.Errorf("%s: nothing was changed; restore into another folder with --into, or replace existing files with --force", what)
}

// each calls f with the names of the staged files, in order.
func (w *workspace) each(f func(name string) error) error {
	from := path.Join(w.staging, "new")
	return fs.WalkDir(w.root.FS(), from, func(at string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return w.explain(err)
		case entry.IsDir():
			return nil
		}
		return f(strings.TrimPrefix(at, from+"/"))
	})
}

type state int

const (
	absent state = iota
	equal
	different
)

// compare compares a staged file with what exists at its place.
func (w *workspace) compare(name string) (state, error) {
	info, err := w.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return absent, nil
	case err != nil:
		return different, w.explain(err)
	case info.IsDir():
		return different, fmt.Errorf("%s is a folder where a file must go: move it away, or restore into another folder with --into", path.Join(w.dir, name))
	case !info.Mode().IsRegular():
		return different, nil
	}
	old, err := w.root.Open(name)
	if err != nil {
		return different, w.explain(err)
	}
	defer old.Close()
	fresh, err := w.root.Open(path.Join(w.staging, "new", name))
	if err != nil {
		return different, w.explain(err)
	}
	defer fresh.Close()
	same, err := sameBytes(old, fresh)
	if err != nil {
		return different, w.explain(err)
	}
	if same {
		return equal, nil
	}
	return different, nil
}

func sameBytes(a, b io.Reader) (bool, error) {
	bufA, bufB := make([]byte, 32<<10), make([]byte, 32<<10)
	for {
		n, errA := io.ReadFull(a, bufA)
		m, errB := io.ReadFull(b, bufB)
		ends := func(err error) bool { return err == io.EOF || err == io.ErrUnexpectedEOF }
		switch {
		case errA != nil && !ends(errA):
			return false, errA
		case errB != nil && !ends(errB):
			return false, errB
		case !bytes.Equal(bufA[:n], bufB[:m]):
			return false, nil
		case errA != nil || errB != nil:
			return ends(errA) && ends(errB), nil
		}
	}
}

// place moves a staged file to its place, unless the same file is already there.
func (w *workspace) place(name string) (size int64, same bool, err error) {
	from := path.Join(w.staging, "new", name)
	info, err := w.root.Stat(from)
	if err != nil {
		return 0, false, w.explain(err)
	}
	state, err := w.compare(name)
	if err != nil {
		return 0, false, err
	}
	if state == equal {
		return info.Size(), true, nil
	}
	if err := w.folders(path.Dir(name)); err != nil {
		return 0, false, err
	}
	m := move{name: name}
	if state == different {
		m.old = path.Join(w.staging, fmt.Sprintf("old-%d", len(w.moved)))
		if err := w.root.Rename(name, m.old); err != nil {
			return 0, false, w.explain(err)
		}
	}
	w.moved = append(w.moved, m)
	if err := w.root.Rename(from, name); err != nil {
		return 0, false, w.explain(err)
	}
	return info.Size(), false, nil
}

// folders creates a folder and its parents, and remembers which ones it created.
func (w *workspace) folders(name string) error {
	at := ""
	for part := range strings.SplitSeq(name, "/") {
		at = path.Join(at, part)
		switch err := w.root.Mkdir(at, 0o777); {
		case err == nil:
			w.folder = append(w.folder, at)
		case !errors.Is(err, fs.ErrExist):
			return w.explain(err)
		}
	}
	return nil
}

// undo moves everything back.
func (w *workspace) undo() {
	for _, m := range slices.Backward(w.moved) {
		if m.old != "" {
			_ = w.root.Rename(m.old, m.name) // replaces the new file, if it is there
		} else {
			_ = w.root.Remove(m.name)
		}
	}
	for _, folder := range slices.Backward(w.folder) {
		_ = w.root.Remove(folder) // fails, as it should, if somebody else has put something into it
	}
}

// close removes the staging folder and, unless commit succeeded, the folders that were created.
func (w *workspace) close() {
	if w.root != nil {
		if w.staging != "" {
			_ = w.root.RemoveAll(w.staging)
		}
		_ = w.root.Close()
	}
	for _, dir := range slices.Backward(w.made) {
		_ = os.Remove(dir)
	}
}

// explain wraps an error of the file system in a message with a remedy.
func (w *workspace) explain(err error) error {
	remedy := "restore into another folder with --into"
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		remedy = "the disk is full: free some space, or restore into another folder with --into"
	case errors.Is(err, fs.ErrPermission):
		remedy = "allow this user to write there, or restore into another folder with --into"
	}
	return fmt.Errorf("%s: %w; nothing was restored; %s", w.dir, err, remedy)
}
