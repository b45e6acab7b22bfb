//go:build !linux

package feed

import (
	"context"
	"io"
	"os"
)

// Stoppable returns f: on this system a read that blocks ends with the process only.
func Stoppable(_ context.Context, f *os.File) (io.Reader, func(), error) { return f, func() {}, nil }
