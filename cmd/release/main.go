// Command release makes the files of a release: for each platform an archive with the program, its
// licence, man page and completions, and a CycloneDX SBOM; and the checksums of all of them. The
// same commit and version of Go produce the same bytes, whoever builds it, wherever and whenever.
//
// Run it in the root of the repository: see `make release`.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"perstack-shipper/config"
)

// platforms lists what a release is built for, unless -platforms says otherwise.
const platforms = "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64"

// documents lists the files of the repository that go into each archive.
var documents = []string{"LICENSE", "README.md", "CHANGELOG.md", "SECURITY.md"}

// release is what all files of a release have in common.
type release struct {
	goCommand, ldflags string
	version            string
	date               time.Time // of the commit; the clock would make each build different
	out                string
	manPage            []byte
	completions        []file
	checksums          bytes.Buffer
}

// file is a file in an archive.
type file struct {
	name       string
	executable bool
	content    []byte
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	var r release
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	flags.StringVar(&r.goCommand, "go", "go", "the go `command`")
	flags.StringVar(&r.ldflags, "ldflags", "", "`flags` for the linker")
	flags.StringVar(&r.version, "version", "", "the `version` to release")
	date := flags.Int64("date", 0, "the time of the commit, in `seconds` since 1970")
	flags.StringVar(&r.out, "out", "dist", "the `folder` to write to; an earlier release in it is removed")
	list := flags.String("platforms", platforms, "comma-separated platforms to build for")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if r.version == "" || strings.ContainsAny(r.version, "/ ") {
		return fmt.Errorf("-version %q cannot be part of a file name", r.version)
	}
	r.date = time.Unix(*date, 0).UTC()
	r.manPage = []byte(config.ManPage(r.version, r.date))
	for _, shell := range config.Shells {
		name := map[string]string{"bash": config.Program + ".bash", "zsh": "_" + config.Program, "fish": config.Program + ".fish"}[shell]
		r.completions = append(r.completions, file{name: "completions/" + name, content: []byte(config.Completion(shell))})
	}
	if err := os.RemoveAll(r.out); err != nil {
		return err
	}
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return err
	}
	for platform := range strings.SplitSeq(*list, ",") {
		if err := r.build(ctx, platform); err != nil {
			return fmt.Errorf("%s: %w", platform, err)
		}
	}
	return os.WriteFile(filepath.Join(r.out, "checksums.txt"), r.checksums.Bytes(), 0o644)
}

// build writes the archive and the SBOM of a platform.
func (r *release) build(ctx context.Context, platform string) error {
	goos, goarch, found := strings.Cut(platform, "/")
	if !found {
		return fmt.Errorf("not a platform: write it like linux/amd64")
	}
	temporary, err := os.MkdirTemp("", "release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temporary)
	binary := filepath.Join(temporary, config.Program)
	command := exec.CommandContext(ctx, r.goCommand, "build", "-trimpath", "-buildvcs=false", "-ldflags", r.ldflags, "-o", binary, "./cmd/"+config.Program)
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+goarch, "GOAMD64=v1", "GOARM64=v8.0", "GOFLAGS=", "GOEXPERIMENT=")
	command.Stderr = os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("go build: %w", err)
	}
	program, err := os.ReadFile(binary)
	if err != nil {
		return err
	}

	name := fmt.Sprintf("%s_%s_%s_%s", config.Program, strings.TrimPrefix(r.version, "v"), goos, goarch)
	files := []file{{config.Program, true, program}, {name: "man/" + config.Program + ".1", content: r.manPage}}
	files = append(files, r.completions...)
	for _, document := range documents {
		content, err := os.ReadFile(document)
		if err != nil {
			return err
		}
		files = append(files, file{name: document, content: content})
	}
	archive, err := r.pack(name, files)
	if err != nil {
		return err
	}
	bom, err := r.sbom(ctx, platform, program)
	if err != nil {
		return fmt.Errorf("SBOM: %w", err)
	}
	if err := r.write(name+".tar.gz", archive); err != nil {
		return err
	}
	return r.write(name+".cdx.json", bom)
}

// write writes a file of the release and records its checksum.
func (r *release) write(name string, content []byte) error {
	fmt.Fprintf(&r.checksums, "%x  %s\n", sha256.Sum256(content), name)
	return os.WriteFile(filepath.Join(r.out, name), content, 0o644)
}

// pack makes an archive with one folder. Owners, modes and times do not depend on where it is made.
func (r *release) pack(folder string, files []file) ([]byte, error) {
	var archive bytes.Buffer
	compressed, err := gzip.NewWriterLevel(&archive, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	out := tar.NewWriter(compressed)
	for _, f := range files {
		mode := int64(0o644)
		if f.executable {
			mode = 0o755
		}
		header := &tar.Header{
			Typeflag: tar.TypeReg, Name: folder + "/" + f.name, Mode: mode, Size: int64(len(f.content)), ModTime: r.date,
			Format: tar.FormatUSTAR,
		}
		if err := out.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := out.Write(f.content); err != nil {
			return nil, err
		}
	}
	if err := out.Close(); err != nil {
		return nil, err
	}
	err = compressed.Close()
	return archive.Bytes(), err
}
