package cwlocal

// Groups and streams on disk: a folder for each group, with group.json and a file for each stream,
// all plain JSON lines. The first line of a stream's file names the stream; each other line is an
// event, in the order of arrival:
//
//	{"logStreamName":"uo5pwlys","creationTime":1795347082176}
//	{"timestamp":1795347082176,"ingestionTime":1795347083001,"message":"{\"shipper\":…}"}
//
// Nothing is synced: what was accepted survives a crash of the process, not one of the machine.

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
	deleted      = ".deleted-" // a folder on its way out; names of groups never start with a dot on disk
	// maxFileName leaves room in a file name's 255 bytes for the suffix.
	maxFileName = 200
)

// folder is Options.Dir. Its methods are called under Server.mu, except for those of streamFile.
type folder struct {
	path string
	lock *os.File
	log  *zap.Logger
}

// groupLine is what group.json holds.
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

// eventLine is each of the other lines; a member is nil if a damaged line does not have it.
type eventLine struct {
	Timestamp     *int64  `json:"timestamp"`
	IngestionTime *int64  `json:"ingestionTime"`
	Message       *string `json:"message"`
}

// openFolder creates the folder if need be, and locks it.
func openFolder(path string, log *zap.Logger) (*folder, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("the folder %q cannot be made; name one that can: %w", path, err)
	}
	lock, err := os.OpenFile(filepath.Join(path, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the folder %q cannot be written; name one that can: %w", path, err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("the folder %q is in use by another endpoint; stop that or name another folder: %w", path, err), lock.Close())
	}
	return &folder{path: path, lock: lock, log: log}, nil
}

// close unlocks the folder.
func (f *folder) close() error { return f.lock.Close() }

// fileName returns a file name for name that cannot lead out of the folder: letters, digits and a
// few signs stay, all else becomes %XX. One too long for a file system is cut, and ends in "~" and
// a hash.
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
		return fmt.Errorf("the folder of log group %q cannot be made; see that %q holds groups only: %w", g.name, f.path, err)
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
		return fmt.Errorf("log group %q cannot be kept; give %q room: %w", g.name, f.path, err)
	}
	return nil
}

// deleteGroup removes a group's folder. It renames it first, so that the group is gone at once even
// if removing the files is interrupted.
func (f *folder) deleteGroup(g *group) error {
	gone := filepath.Join(f.path, deleted+filepath.Base(g.folder))
	_ = os.RemoveAll(gone) // left by a deletion that was interrupted; if it stays, the rename fails
	if err := os.Rename(g.folder, gone); err != nil {
		return fmt.Errorf("the folder of log group %q cannot be removed; remove it: %w", g.name, err)
	}
	if err := os.RemoveAll(gone); err != nil {
		return fmt.Errorf("the folder %q cannot be removed; remove it: %w", gone, err)
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
		return fmt.Errorf("log stream %q cannot be kept; see that %q is free and has room: %w", st.name, st.file.path, err)
	}
	st.file.size = int64(len(line))
	return nil
}

// deleteStream removes a stream's file.
func (f *folder) deleteStream(st *stream) error {
	if err := os.Remove(st.file.path); err != nil {
		return fmt.Errorf("the file of log stream %q cannot be removed; remove it: %w", st.name, err)
	}
	return nil
}

// streamFile is the file of a stream, guarded by the stream's mu. It is open only while a batch is
// written, because there may be more streams than a process may have open files.
type streamFile struct {
	path string
	size int64 // of its whole lines
}

// append writes events as lines: all of them or none.
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
		return fmt.Errorf("a batch cannot be kept; see that %q is there and has room: %w", f.path, err)
	}
	return nil
}
