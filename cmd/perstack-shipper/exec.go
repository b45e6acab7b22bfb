package main

import (
	"errors"

	"go.uber.org/zap"

	"perstack-shipper/config"
)

func runExec(_ *config.Exec, _ *zap.Logger) int {
	return fail(errors.New("exec is not part of this build yet"))
}
