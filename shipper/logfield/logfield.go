// Package logfield defines the fields of log messages. A message is a sentence for people; each
// thing that it names is also a field for machines, with the same key everywhere. Paths are the
// same as in the sentence.
package logfield

import "go.uber.org/zap"

// Input is the id of an input.
func Input(id string) zap.Field { return zap.String("input", id) }

// Stream is the name of a log stream.
func Stream(name string) zap.Field { return zap.String("stream", name) }

// Group is the name of a log group.
func Group(name string) zap.Field { return zap.String("group", name) }

// Region is an AWS Region.
func Region(name string) zap.Field { return zap.String("region", name) }

// Folder is the path of the journal folder, or of an input's folder in it.
func Folder(path string) zap.Field { return zap.String("folder", path) }

// Path is the path of a followed file, FIFO or folder.
func Path(path string) zap.Field { return zap.String("path", path) }

// Bytes is the number of bytes that the message is about, such as those that wait or are lost.
func Bytes(n int64) zap.Field { return zap.Int64("bytes", n) }

// PID is the id of a process.
func PID(pid int) zap.Field { return zap.Int("pid", pid) }

// Named is an error that provides the fields for its sentence.
type Named interface {
	error
	LogFields() []zap.Field
}

// Of returns the fields of an error and of all errors that it wraps.
func Of(err error) []zap.Field {
	var fields []zap.Field
	var collect func(error)
	collect = func(err error) {
		if named, ok := err.(Named); ok {
			fields = append(fields, named.LogFields()...)
		}
		switch err := err.(type) {
		case interface{ Unwrap() error }:
			if inner := err.Unwrap(); inner != nil {
				collect(inner)
			}
		case interface{ Unwrap() []error }:
			for _, inner := range err.Unwrap() {
				collect(inner)
			}
		}
	}
	if err != nil {
		collect(err)
	}
	return fields
}
