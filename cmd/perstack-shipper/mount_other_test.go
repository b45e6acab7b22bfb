//go:build unix && !linux

package main

// Tests mount only on Linux. On other systems those that need a mount are skipped.

import "errors"

func mountSmall(string, int) error { return errors.ErrUnsupported }
func mountAgain(string) error      { return errors.ErrUnsupported }
func remountReadOnly(string) error { return errors.ErrUnsupported }
func unmountNow(string) error      { return errors.ErrUnsupported }
