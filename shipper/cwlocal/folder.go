package cwlocal

// This file keeps groups and streams on disk. Each group is a folder with a group.json and a file
// for each stream, all plain JSON lines. The first line of a stream's file names the stream. Each
// other line is an event, in order of arrival:
//
//	{"logStreamName":"uo5pwlys","creationTime":1795347082176}
//	{"timestamp":1795347082176,"ingestionTime":1795347083001,"message":"{\"shipper\":…}"}
//
// Nothing is synced: accepted events survive a crash of the process, but not of the machine.

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"go.uber.org/zap"
)

const (
	groupFile    = "group.json"
	streamSuffix = ".jsonl"
	lockFile     = ".lock"
	// deleted is the prefix of a folder being deleted. A group's folder never starts with a dot.
	deleted = ".deleted-"
	// maxFileName leaves room for the suffix in the 255 bytes of a file name.
	maxFileName = 200
)

// folder is Options.Dir. Callers of its methods hold Server.mu.
type folder struct {
	path string
	lock *os.File
	log  *zap.Logger
}

// groupLine is the content of group.json.
type groupLine struct {
	LogGroupName    string            `json:"logGroupName"`
	CreationTime    int64             `json:"creationTime"`
	RetentionInDays int               `json:"retentionInDays,omitempty"`
	KMSKeyID        string            `json:"kmsKeyId,omitempty"`
	LogGroupClass   string            `json:"logGroupClass,omitempty"`
	Tags            map[string]string `json:"tags,omitempty"`
}

// streamLine is the first line of a stream's file.
type streamLine struct {
	LogStreamName string `json:"logStreamName"`
	CreationTime  int64  `json:"creationTime"`
}

// eventLine is any other line. A member is nil if it is missing from a damaged line.
type eventLine struct {
	Timestamp     *int64  `json:"timestamp"`
	IngestionTime *int64  `json:"ingestionTime"`
	Message       *string `json:"message"`
}

// openFolder creates the folder if necessary, and locks it.
func openFolder(path string, log *zap.Logger) (*folder, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("%q cannot be created; name another folder: %w", path, err)
	}
	lock, err := os.OpenFile(filepath.Join(path, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%q cannot be written; name another folder: %w", path, err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%q is in use by another endpoint; stop that one or name another folder: %w", path, err), lock.Close())
	}
	return &folder{path: path, lock: lock, log: log}, nil
}

// close unlocks the folder.
func (f *folder) close() error { return f.lock.Close() }

// fileName returns a file name for name that cannot lead out of the folder. Letters, digits and a
// few signs stay; all other bytes become %XX. A name that is too long for a file system is cut and
// ends in "~" and a hash.
func fileName(name string) string {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		c := name[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-', c == '#', c == '=', c == '+', c == '@', c == ',', c == '.' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	if b.Len() <= maxFileName {
		return b.String()
	}
	sum := sha256.Sum256([]byte(name))
	return b.String()[:maxFileName-33] + "~" + hex.EncodeToString(sum[:16])
}

// createGroup creates a group's folder.
func (f *folder) createGroup(g *group) error {
	g.folder = filepath.Join(f.path, fileName(g.name))
	if err := os.Mkdir(g.folder, 0o700); err != nil {
		return fmt.Errorf("cannot create a folder for log group %q; %q should hold log groups only: %w", g.name, f.path, err)
	}
	return f.writeGroup(g)
}

// writeGroup replaces group.json.
func (f *folder) writeGroup(g *group) error {
	line, err := json.Marshal(groupLine{g.name, g.created, g.retention, g.kmsKey, g.class, g.tags})
	if err != nil {
		return fmt.Errorf("log group %q: %w", g.name, err)
	}
	path := filepath.Join(g.folder, groupFile)
	if err = os.WriteFile(path+".new", append(line, '\n'), 0o600); err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("cannot store log group %q; check the free space of %q: %w", g.name, f.path, err)
	}
	return nil
}

// deleteGroup removes a group's folder. It renames the folder first, so that the group is gone even
// if removing the files is interrupted.
func (f *folder) deleteGroup(g *group) error {
	gone := filepath.Join(f.path, deleted+filepath.Base(g.folder))
	_ = os.RemoveAll(gone) // left by an interrupted deletion; if this fails, so does the rename
	if err := os.Rename(g.folder, gone); err != nil {
		return fmt.Errorf("cannot remove the folder of log group %q; remove it by hand: %w", g.name, err)
	}
	if err := os.RemoveAll(gone); err != nil {
		return fmt.Errorf("cannot remove the folder %q; remove it by hand: %w", gone, err)
	}
	return nil
}

// createStream creates a stream's file.
func (f *folder) createStream(g *group, st *stream) error {
	st.file = &streamFile{path: filepath.Join(g.folder, fileName(st.name)+streamSuffix)}
	line, err := json.Marshal(streamLine{st.name, st.created})
	if err != nil {
		return fmt.Errorf("log stream %q: %w", st.name, err)
	}
	line = append(line, '\n')
	file, err := os.OpenFile(st.file.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		_, err = file.Write(line)
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		return fmt.Errorf("cannot store log stream %q; check that %q does not exist and its disk has room: %w", st.name, st.file.path, err)
	}
	st.file.size = int64(len(line))
	return nil
}

// deleteStream removes a stream's file.
func (f *folder) deleteStream(st *stream) error {
	if err := os.Remove(st.file.path); err != nil {
		return fmt.Errorf("cannot remove the file of log stream %q; remove it by hand: %w", st.name, err)
	}
	return nil
}

// streamFile is a stream's file, guarded by the stream's mu. It is open only while a batch is being
// written, because there may be more streams than a process may have open files.
type streamFile struct {
	path string
	size int64 // of its complete lines
}

// append writes events as lines: either all of them or none.
func (f *streamFile) append(events []inputEvent, now int64) error {
	buf := newBuffer()
	defer bodies.Put(buf)
	lines := json.NewEncoder(buf)
	lines.SetEscapeHTML(false)
	for _, e := range events {
		if err := lines.Encode(eventLine{e.Timestamp, &now, e.Message}); err != nil {
			return fmt.Errorf("the file %q: %w", f.path, err)
		}
	}
	file, err := os.OpenFile(f.path, os.O_WRONLY, 0)
	if err == nil {
		var n int
		if n, err = file.WriteAt(buf.Bytes(), f.size); err != nil {
			err = errors.Join(err, file.Truncate(f.size))
		} else {
			f.size += int64(n)
		}
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		return fmt.Errorf("cannot store a batch; check that %q exists and its disk has room: %w", f.path, err)
	}
	return nil
}
