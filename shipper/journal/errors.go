package journal

// This file holds the errors of this package. Errors that a caller acts on are values or types of
// their own. Each message names the thing and says what to do about it.

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"go.uber.org/zap"

	"perstack-shipper/shipper/disk"
	"perstack-shipper/shipper/logfield"
)

var (
	// ErrFull means that the journal has reached its limit, the disk is full, the user's quota is
	// used up, or a file is as large as files may be. Wait for acks.
	ErrFull = errors.New("no room")
	// ErrTruncated means that the file shrank or was rewritten below the offset read. A
	// *TruncatedError or *CutError has the details.
	ErrTruncated = errors.New("truncated")
	// ErrAcked means that the offset was acked and its space given back.
	ErrAcked = errors.New("already acked and given back")
	// ErrExists means that the folder has an input with that id.
	ErrExists = errors.New("an input with that id exists")
	// ErrNoLine means that the first line of a file is incomplete, so the file has no id yet.
	ErrNoLine = errors.New("its first line is not complete yet")
)

// HeldError says that another process, or another Journal of this process, owns the input.
type HeldError struct {
	ID       string
	Dir      string // the input's folder
	Pid      int    // pid that the owner wrote; -1 if it did not write one
	HeldHere bool   // another Journal of this Folder owns it
}

func (e *HeldError) Error() string {
	who := "another process"
	if e.Pid > 0 {
		who = fmt.Sprintf("process %d", e.Pid)
	}
	return fmt.Sprintf("input %s is held by %s (%s); stop that process or use another journal folder", e.ID, who, e.Dir)
}

// LogFields implements logfield.Named.
func (e *HeldError) LogFields() []zap.Field {
	return []zap.Field{logfield.Input(e.ID), logfield.Folder(e.Dir), logfield.PID(e.Pid)}
}

// SymlinkError says that the path is a symbolic link, or not a folder.
type SymlinkError struct{ Path string }

func (e *SymlinkError) Error() string {
	return fmt.Sprintf("journal folder %s is a symbolic link or not a folder; name the folder itself", e.Path)
}

// OwnerError says that the folder belongs to another user.
type OwnerError struct {
	Path        string
	Owner, Want int // user ids
}

func (e *OwnerError) Error() string {
	return fmt.Sprintf("journal folder %s belongs to user %d, but this process runs as user %d; use a folder of its own", e.Path, e.Owner, e.Want)
}

// VersionError says that the folder has a layout that this program does not know. The folder was
// not changed.
type VersionError struct {
	Path  string
	Found string
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("journal folder %s has version %q, but this program knows version %s; use the version that made it, or another folder", e.Path, e.Found, folderVersion)
}

// UnwritableError says that the folder cannot be created or written.
type UnwritableError struct {
	Path string
	Err  error
}

func (e *UnwritableError) Error() string {
	return fmt.Sprintf("journal folder %s cannot be written (%v); make it writable or name another", e.Path, e.Reason())
}

// Reason returns Err without the folder's path, if Err names it.
func (e *UnwritableError) Reason() error {
	if path, ok := errors.AsType[*fs.PathError](e.Err); ok && path.Path == e.Path {
		return path.Err
	}
	return e.Err
}

func (e *UnwritableError) Unwrap() error { return e.Err }

// MemoryError says that the disk failed, other than by being full, and that the input goes on in
// memory.
type MemoryError struct {
	ID   string
	Kind Kind
	Dir  string // the input's folder, or the folder in which it should have been made
	Err  error  // the operating system's error
	Most int64  // limit on the bytes in memory
}

func (e *MemoryError) Error() string {
	means := fmt.Sprintf("new input is kept in memory, at most %d MiB, until CloudWatch has accepted it, and is lost if this process dies before that", e.Most>>20)
	if e.Kind == KindFile {
		means = "how far it is shipped is kept in memory, so the next start ships it from its beginning"
	}
	return fmt.Sprintf("input %s: %s can no longer be used (%v): %s; repair that folder, and restart the shipper when you can", e.ID, e.Dir, e.Err, means)
}

// LogFields implements logfield.Named.
func (e *MemoryError) LogFields() []zap.Field {
	return []zap.Field{logfield.Input(e.ID), logfield.Folder(e.Dir), logfield.Bytes(e.Most)}
}

func (e *MemoryError) Unwrap() error { return e.Err }

// Gap is a range of bytes [From, To) that the input had and that are missing.
type Gap struct{ From, To int64 }

// GapError says that bytes are missing at the offset read. Continue reading at To.
type GapError struct {
	ID string
	Gap
}

func (e *GapError) Error() string {
	return fmt.Sprintf("input %s: bytes %d to %d (%d) are missing; the input goes on after them", e.ID, e.From, e.To, e.To-e.From)
}

// LogFields implements logfield.Named.
func (e *GapError) LogFields() []zap.Field {
	return []zap.Field{logfield.Input(e.ID), logfield.Bytes(e.To - e.From)}
}

// TruncatedError says that somebody truncated, rewrote or replaced the followed file. The input has
// ended; the present contents of the file are another input.
type TruncatedError struct {
	ID   string
	Path string // "" in memory
	At   int64  // offset up to which it was read
	Lost int64  // at least how many bytes after At were never read
}

func (e *TruncatedError) Error() string {
	if e.Lost == 0 {
		return fmt.Sprintf("input %s: %s was rotated or rewritten after %d bytes, and everything seen of it had been read; its present contents are a new input", e.ID, e.Path, e.At)
	}
	return fmt.Sprintf("input %s: %s was truncated or rewritten: at least %d bytes after offset %d are lost; its present contents are a new input", e.ID, e.Path, e.Lost, e.At)
}

// LogFields implements logfield.Named.
func (e *TruncatedError) LogFields() []zap.Field {
	return []zap.Field{logfield.Input(e.ID), logfield.Path(e.Path), logfield.Bytes(e.Lost)}
}

// Is makes errors.Is(err, ErrTruncated) true.
func (e *TruncatedError) Is(target error) bool { return target == ErrTruncated }

// DamageError says what was missing from the folder of a recovered input, or did not belong there.
type DamageError struct {
	ID      string
	Gaps    []Gap    // bytes that existed and are missing
	Foreign []string // files that do not belong there; they are left alone
	Notes   []string // anything else, one sentence each
}

func (e *DamageError) Error() string {
	var all []string
	for _, g := range e.Gaps {
		all = append(all, fmt.Sprintf("bytes %d to %d (%d) are missing", g.From, g.To, g.To-g.From))
	}
	all = append(all, e.Notes...)
	if len(e.Foreign) > 0 {
		all = append(all, fmt.Sprintf("files that do not belong to the journal: %q", e.Foreign))
	}
	return fmt.Sprintf("input %s is damaged: %s; the rest of it is shipped", e.ID, strings.Join(all, "; "))
}

// LogFields implements logfield.Named.
func (e *DamageError) LogFields() []zap.Field {
	var missing int64
	for _, g := range e.Gaps {
		missing += g.To - g.From
	}
	return []zap.Field{logfield.Input(e.ID), logfield.Bytes(missing)}
}

func (e *DamageError) empty() bool { return len(e.Gaps)+len(e.Foreign)+len(e.Notes) == 0 }

func (e *DamageError) note(format string, args ...any) {
	e.Notes = append(e.Notes, fmt.Sprintf(format, args...))
}

// asFull wraps errors that mean "no room" in [ErrFull], and returns others unchanged.
func asFull(err error) error {
	if disk.IsFull(err) && !errors.Is(err, ErrFull) {
		return fmt.Errorf("%w: %w; free some space on that disk", ErrFull, err)
	}
	return err
}
