//go:build unix && !linux

package main

import "errors"

// Mounting is tried on Linux only; elsewhere the tests that need it are skipped.

func mountSmall(string, int) error { return errors.ErrUnsupported }
func mountAgain(string) error      { return errors.ErrUnsupported }
func remountReadOnly(string) error { return errors.ErrUnsupported }
func unmountNow(string) error      { return errors.ErrUnsupported }
