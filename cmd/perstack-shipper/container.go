package main

import (
	"fmt"
	"os"
	"syscall"

	"go.uber.org/zap"

	"perstack-shipper/shipper"
)

// warnOfContainer says at start when a journal on ECS would not outlive its container: a restart could not ship what was left.
func warnOfContainer(journal string, log *zap.Logger) {
	if os.Getenv(shipper.ECSVariable) == "" || journal == "" || !onSameDisk(journal, "/") {
		return
	}
	log.Warn(fmt.Sprintf("the journal in %s is on this container's own disk and dies with it: mount a volume of the task there, and give the container a restartPolicy, which ships what was left", journal))
}

// onSameDisk reports whether a folder is on the same file system as root: in a container, on the layer that it loses, and not on a volume.
func onSameDisk(folder, root string) bool {
	a, err := os.Stat(folder)
	b, rootErr := os.Stat(root)
	if err != nil || rootErr != nil {
		return false
	}
	at, ok := a.Sys().(*syscall.Stat_t)
	bt, rootOK := b.Sys().(*syscall.Stat_t)
	return ok && rootOK && at.Dev == bt.Dev
}
