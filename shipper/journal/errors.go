package journal

// The errors of this package. Those that a caller acts on are values or types of their own. Each
// message names the thing and what to do about it.

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
	// ErrFull: the journal is at its limit, or the disk (or the user's quota, or the largest file)
	// is. Wait for acks.
	ErrFull = errors.New("no room")
	// ErrTruncated: the file shrank, or was rewritten, below what was read. The details are in a
	// *TruncatedError.
	ErrTruncated = errors.New("truncated")
	// ErrAcked: the offset was acked and its space given back.
	ErrAcked = errors.New("already acked and given back")
	// ErrExists: the folder has an input of that id.
	ErrExists = errors.New("an input of that id exists")
	// ErrNoLine: the first line of a file is not complete yet, so the file has no id yet.
	ErrNoLine = errors.New("its first line is not complete yet")
)

// HeldError says that another process, or another Journal of this one, owns the input.
type HeldError struct {
	ID       string
	Dir      string // the input's folder
	Pid      int    // as its owner wrote it; -1 if it did not
	HeldHere bool   // it is another Journal of this Folder
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

// SymlinkError says that the folder is a symbolic link, or no folder at all.
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
	return fmt.Sprintf("journal folder %s belongs to user %d, this process runs as %d; use a folder of its own", e.Path, e.Owner, e.Want)
}

// VersionError says that the folder has a layout that this program does not know. It was not
// touched.
type VersionError struct {
	Path  string
	Found string
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("journal folder %s has version %q, this program knows %s; use the version that made it, or another folder", e.Path, e.Found, folderVersion)
}

// UnwritableError says that the folder cannot be made or written.
type UnwritableError struct {
	Path string
	Err  error
}

func (e *UnwritableError) Error() string {
	return fmt.Sprintf("journal folder %s cannot be written (%v); make it writable or name another", e.Path, e.Reason())
}

// Reason returns Err without the folder's path, if it names that.
func (e *UnwritableError) Reason() error {
	if path, ok := errors.AsType[*fs.PathError](e.Err); ok && path.Path == e.Path {
		return path.Err
	}
	return e.Err
}

func (e *UnwritableError) Unwrap() error { return e.Err }

// MemoryError says that the disk failed in another way than being full, and that the input goes on
// in memory.
type MemoryError struct {
	ID   string
	Kind Kind
	Dir  string // the input's folder, or where it should have been made
	Err  error  // what the disk said
	Most int64  // bytes that memory takes
}

func (e *MemoryError) Error() string {
	means := fmt.Sprintf("what comes from here on is kept in memory, at most %d MiB, until CloudWatch has accepted it, and is lost if this process dies before that", e.Most>>20)
	if e.Kind == KindFile {
		means = "how far it is shipped is kept in memory, so the next start ships it from its beginning"
	}
	return fmt.Sprintf("input %s: %s can no longer be used (%v): %s; repair that folder, and start the shipper again when you can", e.ID, e.Dir, e.Err, means)
}

// LogFields implements logfield.Named.
func (e *MemoryError) LogFields() []zap.Field {
	return []zap.Field{logfield.Input(e.ID), logfield.Folder(e.Dir), logfield.Bytes(e.Most)}
}

func (e *MemoryError) Unwrap() error { return e.Err }

// Gap is the range of bytes [From, To) that the input had and that is not held.
type Gap struct{ From, To int64 }

// GapError says that bytes are missing at the offset read. Reading goes on at To.
type GapError struct {
	ID string
	Gap
}

func (e *GapError) Error() string {
	return fmt.Sprintf("input %s: bytes %d to %d (%d) are missing; it goes on after them", e.ID, e.From, e.To, e.To-e.From)
}

// LogFields implements logfield.Named.
func (e *GapError) LogFields() []zap.Field {
	return []zap.Field{logfield.Input(e.ID), logfield.Bytes(e.To - e.From)}
}

// TruncatedError says that somebody truncated, rewrote or replaced the followed file. The input has
// ended; what the file holds now is another.
type TruncatedError struct {
	ID   string
	Path string // "" in memory
	At   int64  // offset up to which it was read
	Lost int64  // bytes after At that were seen and never read: there were at least so many
}

func (e *TruncatedError) Error() string {
	if e.Lost == 0 {
		return fmt.Sprintf("input %s: %s was rotated or rewritten after %d bytes, and everything seen of it was read; what it holds now is a new input", e.ID, e.Path, e.At)
	}
	return fmt.Sprintf("input %s: %s was truncated or rewritten: at least %d bytes after offset %d are lost; what it holds now is a new input", e.ID, e.Path, e.Lost, e.At)
}

// LogFields implements logfield.Named.
func (e *TruncatedError) LogFields() []zap.Field {
	return []zap.Field{logfield.Input(e.ID), logfield.Path(e.Path), logfield.Bytes(e.Lost)}
}

// Is makes errors.Is(err, ErrTruncated) true.
func (e *TruncatedError) Is(target error) bool { return target == ErrTruncated }

// DamageError says what a recovered folder lacks, or has too much of.
type DamageError struct {
	ID      string
	Gaps    []Gap    // bytes that must have been there and are not held
	Foreign []string // files that do not belong there; they are left alone
	Notes   []string // the rest, a sentence each
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
	return fmt.Sprintf("input %s is damaged: %s; what is left of it is shipped", e.ID, strings.Join(all, "; "))
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

// asFull makes errors that mean "no room" recognisable as ErrFull, and leaves others as they are.
func asFull(err error) error {
	if disk.IsFull(err) && !errors.Is(err, ErrFull) {
		return fmt.Errorf("%w: %w; free some space on that disk", ErrFull, err)
	}
	return err
}
