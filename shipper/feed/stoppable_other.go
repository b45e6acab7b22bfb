//go:build !linux

package feed

import (
	"context"
	"io"
	"os"
)

// Stoppable returns f. On this system, only the end of the process ends a read that blocks.
func Stoppable(_ context.Context, f *os.File) (io.Reader, func(), error) { return f, func() {}, nil }
