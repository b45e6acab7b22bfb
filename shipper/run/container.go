package run

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"syscall"

	"go.uber.org/zap"

	"perstack-shipper/shipper"
	"perstack-shipper/shipper/logfield"
)

// kubernetesVariable is set in every container that Kubernetes starts.
const kubernetesVariable = "KUBERNETES_SERVICE_HOST"

// warnOfContainer warns at the start if the journal will not outlive its container, because no
// later start could ship what is left.
func warnOfContainer(journal string, log *zap.Logger) {
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err == nil && onUnnamedVolume(journal, string(mounts)) {
		log.Warn(fmt.Sprintf("the journal in %s is on an anonymous volume, which no other container gets and --rm removes: give it a name, as in -v journal:%s", journal, journal), logfield.Folder(journal))
		return
	}
	if !DiesWithContainer(journal) {
		return
	}
	volume := "an emptyDir, or a volume that outlives the pod"
	if os.Getenv(shipper.ECSVariable) != "" {
		volume = "a volume of the task, and give the container a restartPolicy, which ships what was left"
	}
	log.Warn(fmt.Sprintf("the journal in %s is on this container's own disk and dies with it: mount %s there", journal, volume), logfield.Folder(journal))
}

// DiesWithContainer reports whether a journal is on the disk of a container that is never started
// again, because ECS and Kubernetes replace it with a new one. A Docker container keeps its disk
// until it is removed.
func DiesWithContainer(journal string) bool {
	if os.Getenv(shipper.ECSVariable) == "" && os.Getenv(kubernetesVariable) == "" {
		return false
	}
	return journal != "" && onSameDisk(journal, "/")
}

// unnamedVolume matches the folder of a volume that Docker, Podman or containerd made because the
// image declares one and nobody named one.
var unnamedVolume = regexp.MustCompile(`/volumes/[0-9a-f]{64}(/_data)?$`)

// onUnnamedVolume reports whether such a volume is mounted at a folder. mounts has the format of
// /proc/self/mountinfo: the fourth field is the mounted folder, and the fifth is where.
func onUnnamedVolume(folder, mounts string) bool {
	unnamed := false
	for line := range strings.Lines(mounts) {
		if fields := strings.Fields(line); len(fields) > 5 && fields[4] == folder {
			unnamed = unnamedVolume.MatchString(fields[3]) // the last mount hides those before it
		}
	}
	return unnamed
}

// onSameDisk reports whether a folder is on the same file system as root. In a container, that is
// the layer that is lost with the container.
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
