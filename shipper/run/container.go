package run

import (
	"fmt"
	"os"
	"syscall"

	"go.uber.org/zap"

	"perstack-shipper/shipper"
)

// kubernetesVariable is set in every container that Kubernetes starts.
const kubernetesVariable = "KUBERNETES_SERVICE_HOST"

// warnOfContainer warns at the start if the journal would not outlive its container, so that no
// later start could ship what was left.
func warnOfContainer(journal string, log *zap.Logger) {
	if !DiesWithContainer(journal) {
		return
	}
	volume := "an emptyDir, or a volume that outlives the pod"
	if os.Getenv(shipper.ECSVariable) != "" {
		volume = "a volume of the task, and give the container a restartPolicy, which ships what was left"
	}
	log.Warn(fmt.Sprintf("the journal in %s is on this container's own disk and dies with it: mount there %s", journal, volume))
}

// DiesWithContainer reports whether a journal is on the disk of a container that is never started
// again: ECS and Kubernetes put a new one in its place. A container of Docker's keeps its disk
// until it is removed.
func DiesWithContainer(journal string) bool {
	if os.Getenv(shipper.ECSVariable) == "" && os.Getenv(kubernetesVariable) == "" {
		return false
	}
	return journal != "" && onSameDisk(journal, "/")
}

// onSameDisk reports whether a folder is on the same file system as root: in a container, on the
// layer that is lost with it, and not on a volume.
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
