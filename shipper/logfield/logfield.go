// Package logfield names things in messages for machines: the sentence of a message is for people,
// and each thing in it is a field, with the same key everywhere.
package logfield

import "go.uber.org/zap"

// The keys. Sizes are in bytes, and paths are as in the sentence.

// Input is the id of an input.
func Input(id string) zap.Field { return zap.String("input", id) }

// Stream is the name of a log stream.
func Stream(name string) zap.Field { return zap.String("stream", name) }

// Group is the name of a log group.
func Group(name string) zap.Field { return zap.String("group", name) }

// Region is an AWS Region.
func Region(name string) zap.Field { return zap.String("region", name) }

// Folder is the journal folder, or that of an input in it.
func Folder(path string) zap.Field { return zap.String("folder", path) }

// Path is a file, FIFO or folder that is followed.
func Path(path string) zap.Field { return zap.String("path", path) }

// Bytes is what the message is about: bytes that wait, that are lost, or that there is room for.
func Bytes(n int64) zap.Field { return zap.Int64("bytes", n) }

// PID is a process.
func PID(pid int) zap.Field { return zap.Int("pid", pid) }

// Named is an error that knows the things in its sentence.
type Named interface {
	error
	LogFields() []zap.Field
}

// Of returns the fields of an error and of all that it wraps.
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
