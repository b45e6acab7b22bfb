package main

// This file builds the image with `make image` and runs the program in it. It uses buildah, which
// needs no daemon. A stand-in with this machine's Go replaces the image that builds, so that no
// registry is asked for the real one.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"perstack-shipper/shipper/testkit"
)

const (
	maxImage     = 16 << 20 // bytes of all its files
	imageVersion = "v1.2.3"
)

// builder is buildah with its own storage.
type builder struct {
	t   *testing.T
	env []string
}

// newBuilder skips the test if buildah is missing or may not mount. With CI=true the test fails
// instead.
func newBuilder(t *testing.T) *builder {
	t.Helper()
	skip := t.Skipf
	if os.Getenv("CI") == "true" {
		skip = t.Fatalf
	}
	if _, err := exec.LookPath("buildah"); err != nil {
		skip("there is no buildah (apt-get install buildah): the image is not built")
	}
	if os.Getuid() != 0 {
		skip("buildah is only tried by root: the image is not built")
	}
	dir := t.TempDir()
	for name, content := range map[string]string{
		"storage.conf":    fmt.Sprintf("[storage]\ndriver = \"vfs\"\ngraphroot = %q\nrunroot = %q\n", dir+"/graph", dir+"/run"),
		"registries.conf": "unqualified-search-registries = []\n",
		"auth.json":       "{}",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b := &builder{t: t, env: append(os.Environ(),
		"CONTAINERS_STORAGE_CONF="+dir+"/storage.conf", "CONTAINERS_REGISTRIES_CONF="+dir+"/registries.conf",
		"BUILDAH_ISOLATION=chroot", "STORAGE_DRIVER=vfs", "TMPDIR="+dir, "XDG_RUNTIME_DIR="+dir, "REGISTRY_AUTH_FILE="+dir+"/auth.json")}
	t.Cleanup(func() {
		// buildah keeps folders that os.RemoveAll may not enter.
		_ = exec.Command("chmod", "-R", "u+rwX", dir).Run()
	})
	return b
}

// run runs a command, which must succeed, and returns its stdout.
func (b *builder) run(name string, args ...string) string {
	b.t.Helper()
	command := exec.CommandContext(b.t.Context(), name, args...)
	command.Env = b.env
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		b.t.Fatalf("%s %q: %v\n%s%s", name, args, err, &stdout, &stderr)
	}
	return strings.TrimSpace(stdout.String())
}

// standIn makes an image with the programs of this machine that a build needs, except Go, which is
// mounted.
func (b *builder) standIn(name string) {
	b.t.Helper()
	root := b.t.TempDir()
	for _, dir := range []string{"tmp", "root", "usr/local/go", "root/go/pkg/mod", "root/.cache/go-build", "etc/ssl/certs"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			b.t.Fatal(err)
		}
	}
	files := []string{"/etc/ssl/certs/ca-certificates.crt"}
	for _, tool := range []string{"sh", "bash", "make", "install", "sed", "git"} {
		path, err := exec.LookPath(tool)
		if err != nil {
			b.t.Fatal(err)
		}
		files = append(files, path)
		for _, library := range regexp.MustCompile(`/\S+`).FindAllString(b.run("ldd", path), -1) {
			files = append(files, strings.TrimSuffix(library, ":"))
		}
	}
	slices.Sort(files)
	for _, path := range slices.Compact(files) {
		content, err := os.ReadFile(path)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(filepath.Join(root, path)), 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(root, path), content, 0o755)
		}
		if err != nil {
			b.t.Fatal(err)
		}
	}
	// /bin may be a link to /usr/bin on this machine.
	if _, err := os.Stat(root + "/bin/sh"); err != nil {
		if err := os.Symlink("usr/bin", root+"/bin"); err != nil {
			b.t.Fatal(err)
		}
	}
	container := b.run("buildah", "from", "scratch")
	b.run("buildah", "copy", container, root+"/", "/")
	b.run("buildah", "config", "--env", "PATH=/usr/local/go/bin:/usr/bin:/bin", "--env", "HOME=/root", container)
	b.run("buildah", "commit", "--rm", container, name)
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.CommandContext(lifetime(t), "go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// image is the part of `buildah inspect` that the test looks at.
type image struct {
	Docker struct {
		Architecture string
		Config       struct {
			User        string
			Env         []string
			Entrypoint  []string
			Volumes     map[string]struct{}
			Labels      map[string]string
			Healthcheck struct{ Test []string }
		} `json:"config"`
	}
}

func TestImage(t *testing.T) {
	t.Parallel()
	b := newBuilder(t)
	b.standIn("localhost/go-stand-in")
	b.run("make", "-C", "../..", "image", "IMAGE=localhost/perstack-shipper", "IMAGE_BUILDER=buildah", "VERSION="+imageVersion, "COMMIT=abc",
		"CREATED=2026-11-26T12:00:00Z", "IMAGE_FLAGS="+strings.Join([]string{
			"--build-arg GO_IMAGE=localhost/go-stand-in --pull-never",
			"--volume " + goEnv(t, "GOROOT") + ":/usr/local/go:ro",
			"--volume " + goEnv(t, "GOMODCACHE") + ":/root/go/pkg/mod",
			"--volume " + goEnv(t, "GOCACHE") + ":/root/.cache/go-build",
		}, " "))
	for _, arch := range []string{"amd64", "arm64"} {
		t.Run(arch, func(t *testing.T) {
			b := &builder{t, b.env}
			name := "localhost/perstack-shipper:" + imageVersion + "-" + arch
			b.checkConfig(name, arch)
			container := b.run("buildah", "from", "--pull-never", name)
			root := b.run("buildah", "mount", container)
			checkFiles(t, root)
			if arch == runtime.GOARCH {
				checkInContainer(t, b, container, root)
			}
		})
	}
}

// checkConfig checks the configuration of an image.
func (b *builder) checkConfig(name, arch string) {
	b.t.Helper()
	var got image
	if err := json.Unmarshal([]byte(b.run("buildah", "inspect", "--type", "image", name)), &got); err != nil {
		b.t.Fatal(err)
	}
	c := got.Docker.Config
	if got.Docker.Architecture != arch || c.User != "65532:65532" || !slices.Equal(c.Entrypoint, []string{"/usr/local/bin/perstack-shipper"}) {
		b.t.Errorf("the image is for %s and runs %q as %s", got.Docker.Architecture, c.Entrypoint, c.User)
	}
	if want := []string{"CMD", "/usr/local/bin/perstack-shipper", "healthcheck"}; !slices.Equal(c.Healthcheck.Test, want) {
		b.t.Errorf("the health check is %q, want %q", c.Healthcheck.Test, want)
	}
	if _, ok := c.Volumes["/var/lib/perstack-shipper"]; !ok || !slices.Contains(c.Env, "XDG_STATE_HOME=/var/lib") {
		b.t.Errorf("the volumes are %v, and the environment is %q", c.Volumes, c.Env)
	}
	for label, want := range map[string]string{
		"title": "perstack-shipper", "licenses": "Apache-2.0", "version": imageVersion, "revision": "abc", "created": "2026-11-26T12:00:00Z",
	} {
		if got := c.Labels["org.opencontainers.image."+label]; got != want {
			b.t.Errorf("the label %s is %q, want %q", label, got, want)
		}
	}
}

// checkFiles checks the files in an image and their total size.
func checkFiles(t *testing.T, root string) {
	t.Helper()
	var files []string
	size := int64(0)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		size += info.Size()
		files = append(files, strings.TrimPrefix(path, root))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"/etc/ssl/certs/ca-certificates.crt", "/usr/local/bin/perstack-shipper"}; !slices.Equal(files, want) {
		t.Errorf("the files are %q, want %q", files, want)
	}
	if size > maxImage {
		t.Errorf("the files have %d bytes, want at most %d", size, maxImage)
	}
	t.Logf("%d bytes", size)
	if mode := stat(t, root+"/var/lib/perstack-shipper"); mode != "drwx------ 65532:65532" {
		t.Errorf("the journal folder has mode and owner %s", mode)
	}
}

func stat(t *testing.T, path string) string {
	t.Helper()
	out, err := exec.CommandContext(lifetime(t), "stat", "-c", "%A %u:%g", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// checkInContainer ships from a container, and from one that can only write to its volume.
func checkInContainer(t *testing.T, b *builder, container, root string) {
	t.Helper()
	w := testkit.New(t, "/perstack/image", testkit.Options{})
	env := w.Endpoint.Env()
	run := func(command *exec.Cmd, stdin string) string {
		t.Helper()
		command.Stdin = strings.NewReader(stdin)
		out, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v\n%s", command.Args, err, out)
		}
		return string(out)
	}
	inContainer := func(env []string, args ...string) *exec.Cmd {
		flags := []string{"run", "--isolation", "chroot"}
		for _, variable := range env {
			flags = append(flags, "--env", variable)
		}
		command := exec.CommandContext(lifetime(t), "buildah", slices.Concat(flags, []string{container, "--"}, args)...)
		command.Env = b.env
		return command
	}
	const program = "/usr/local/bin/perstack-shipper"
	if said := run(inContainer(nil, program, "version"), ""); !strings.HasPrefix(said, "perstack-shipper "+imageVersion+", commit abc, ") {
		t.Errorf("version prints %q", said)
	}
	// Without a volume of its own, it warns that the journal will be lost with the container.
	said := run(inContainer(append(env, "ECS_CONTAINER_METADATA_URI_V4=http://127.0.0.1:1/v4/x"), program, "--log-group", "/perstack/image"), `{"jobId":"own-disk"}`+"\n")
	if !strings.Contains(said, "the journal in /var/lib/perstack-shipper is on this container's own disk and dies with it: mount a volume of the task") {
		t.Errorf("there is no warning that the journal dies with the container:\n%s", said)
	}

	volume := t.TempDir()
	if err := os.Chown(volume, 65532, 65532); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(volume, 0o700); err != nil {
		t.Fatal(err)
	}
	const readOnly = `mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && mount --bind "$1" "$0/var/lib/perstack-shipper" && shift &&
		exec chroot --userspec=65532:65532 "$0" "$@"`
	onReadOnlyRoot := func(args ...string) *exec.Cmd {
		command := exec.CommandContext(lifetime(t), "unshare", append([]string{"--mount", "sh", "-c", readOnly, root, volume, program}, args...)...)
		command.Env = append(env, "XDG_STATE_HOME=/var/lib", "PATH="+os.Getenv("PATH"))
		return command
	}
	if said := run(onReadOnlyRoot("--log-group", "/perstack/image"), `{"jobId":"read-only"}`+"\n"); !strings.Contains(said, "shipped 1 line") || strings.Contains(said, `"level":"warn"`) {
		t.Errorf("with a read-only root it prints\n%s", said)
	}
	if said := run(onReadOnlyRoot("healthcheck"), ""); said != "" {
		t.Errorf("the health check prints %q", said)
	}
	for _, job := range []string{"own-disk", "read-only"} {
		if len(w.Server.Events("/perstack/image", job)) == 0 {
			t.Errorf("job %s has no events", job)
		}
	}
}
