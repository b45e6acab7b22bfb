//go:build !linux

package main

import (
	"errors"
	"io"
	"os"
)

// feed moves all of from into the pipe to, and closes to.
func feed(from, to *os.File) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, make([]byte, 256<<10))
	return errors.Join(err, to.Close())
}
