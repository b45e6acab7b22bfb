package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// TestReleaseIsReproducible makes a release twice, as two people would: in another folder, time
// zone and umask. Both must have the same bytes. It builds only for this machine's platform,
// because others take minutes if nothing is cached.
func TestReleaseIsReproducible(t *testing.T) {
	platforms := runtime.GOOS + "/" + runtime.GOARCH
	program := filepath.Join(t.TempDir(), "release")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	root := "../.."
	elsewhere := filepath.Join(t.TempDir(), "another name")
	copySource(t, root, elsewhere)
	build := func(dir, umask, zone string) map[string][]byte {
		out := t.TempDir()
		command := exec.CommandContext(t.Context(), "sh", "-c", "umask "+umask+` && exec "$@"`, "sh",
			program, "-version", "v1.2.3", "-date", "1795600000", "-out", out, "-platforms", platforms,
			"-ldflags", "-s -w -buildid= -X main.version=v1.2.3")
		command.Dir = dir
		command.Env = append(os.Environ(), "TZ="+zone)
		if said, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
		files := map[string][]byte{}
		entries, err := os.ReadDir(out)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if files[entry.Name()], err = os.ReadFile(filepath.Join(out, entry.Name())); err != nil {
				t.Fatal(err)
			}
		}
		return files
	}
	first, second := build(root, "022", "UTC"), build(elsewhere, "077", "Asia/Tokyo")
	for name, content := range first {
		if !bytes.Equal(content, second[name]) {
			t.Errorf("%s is %x, and %x when built again", name, sha256.Sum256(content), sha256.Sum256(second[name]))
		}
	}

	want := []string{"checksums.txt"}
	for platform := range strings.SplitSeq(platforms, ",") {
		name := "perstack-shipper_1.2.3_" + strings.ReplaceAll(platform, "/", "_")
		want = append(want, name+".cdx.json", name+".tar.gz")
		checkArchive(t, platform, name, first[name+".tar.gz"], first[name+".cdx.json"])
	}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(first)); !slices.Equal(got, want) {
		t.Errorf("the release has the files %q, want %q", got, want)
	}
	sums := string(first["checksums.txt"])
	for _, name := range want[:len(want)-1] {
		if line := fmt.Sprintf("%x  %s\n", sha256.Sum256(first[name]), name); name != "checksums.txt" && !strings.Contains(sums, line) {
			t.Errorf("checksums.txt lacks %q", line)
		}
	}
}

// copySource copies the sources of a release.
func copySource(t *testing.T, from, to string) {
	t.Helper()
	for _, name := range []string{"batch", "cmd/perstack-shipper", "config", "shipper"} {
		if err := os.CopyFS(filepath.Join(to, name), os.DirFS(filepath.Join(from, name))); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range append([]string{"go.mod", "go.sum"}, documents...) {
		content, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// checkArchive checks an archive and its SBOM.
func checkArchive(t *testing.T, platform, name string, archive, sbom []byte) {
	t.Helper()
	compressed, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	files := map[string][]byte{}
	for in := tar.NewReader(compressed); ; {
		header, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		path, _ := strings.CutPrefix(header.Name, name+"/")
		if files[path], err = io.ReadAll(in); err != nil {
			t.Fatal(err)
		}
		if executable := header.Mode&0o111 != 0; executable != (path == "perstack-shipper") || header.Uid != 0 || header.ModTime.Unix() != 1795600000 {
			t.Errorf("%s: %+v", name, header)
		}
	}
	want := []string{
		"CHANGELOG.md", "LICENSE", "README.md", "SECURITY.md", "completions/_perstack-shipper", "completions/perstack-shipper.bash",
		"completions/perstack-shipper.fish", "man/perstack-shipper.1", "perstack-shipper",
	}
	if got := slices.Sorted(maps.Keys(files)); !slices.Equal(got, want) {
		t.Fatalf("%s has %q, want %q", name, got, want)
	}
	if !bytes.Contains(files["man/perstack-shipper.1"], []byte("perstack-shipper v1.2.3")) {
		t.Errorf("%s: the man page lacks the version", name)
	}
	program := files["perstack-shipper"]
	info, err := buildinfo.Read(bytes.NewReader(program))
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if got := settings["GOOS"] + "/" + settings["GOARCH"]; got != platform || settings["CGO_ENABLED"] != "0" {
		t.Errorf("%s is built for %s, CGO_ENABLED %s", name, got, settings["CGO_ENABLED"])
	}
	if platform == runtime.GOOS+"/"+runtime.GOARCH {
		path := filepath.Join(t.TempDir(), "perstack-shipper")
		if err := os.WriteFile(path, program, 0o755); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), path, "version").CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "perstack-shipper v1.2.3,") {
			t.Errorf("%s printed %q, %v", name, out, err)
		}
	}
	checkSBOM(t, program, info, sbom)
}

// checkSBOM compares an SBOM with the program, and checks what CycloneDX demands.
func checkSBOM(t *testing.T, program []byte, info *buildinfo.BuildInfo, sbom []byte) {
	t.Helper()
	var b bom
	decoder := json.NewDecoder(bytes.NewReader(sbom))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&b); err != nil {
		t.Fatal(err)
	}
	if b.Format != "CycloneDX" || b.SpecVersion != "1.6" || !regexp.MustCompile(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(b.SerialNumber) {
		t.Errorf("the SBOM is %s %s, serial number %s", b.Format, b.SpecVersion, b.SerialNumber)
	}
	if got, want := b.Metadata.Component.Hashes[0].Content, fmt.Sprintf("%x", sha256.Sum256(program)); got != want {
		t.Errorf("the SBOM is for a program with digest %s, want %s", got, want)
	}
	versions := map[string]string{"std": strings.TrimPrefix(runtime.Version(), "go")}
	for _, dep := range info.Deps {
		versions[dep.Path] = dep.Version
	}
	listed := map[string]string{}
	refs := []string{b.Metadata.Component.Ref}
	for _, c := range b.Components {
		listed[c.Name] = c.Version
		refs = append(refs, c.Ref)
		if c.Type != "library" || c.Licenses[0].License.ID == "" || c.PURL != "pkg:golang/"+c.Name+"@"+c.Version {
			t.Errorf("%+v", c)
		}
	}
	if !maps.Equal(listed, versions) {
		t.Errorf("the SBOM lists %v, but the program has %v", listed, versions)
	}
	for _, d := range b.Dependencies {
		if !slices.Contains(refs, d.Ref) || slices.ContainsFunc(d.DependsOn, func(ref string) bool { return !slices.Contains(refs, ref) }) {
			t.Errorf("a dependency that is not a component: %+v", d)
		}
	}
}

func TestLicensesAreKnown(t *testing.T) {
	for text, want := range map[string]string{
		"                                 Apache License\n                           Version 2.0, January 2004\n":           "Apache-2.0",
		"MIT License\n\nPermission is hereby granted, free of charge, to any\nperson … THE SOFTWARE IS PROVIDED \"AS IS\",": "MIT",
		"Redistribution and use in source and binary forms, …\n * Neither the name of Google":                               "BSD-3-Clause",
		"All rights reserved.": "",
	} {
		if got := licenseOf(text); got != want {
			t.Errorf("%.30q is %q, want %q", text, got, want)
		}
	}
	if _, err := licenseIn(t.TempDir()); err == nil || !strings.Contains(err.Error(), "no licence") {
		t.Errorf("a module without a licence: %v", err)
	}
}

func TestBadReleases(t *testing.T) {
	for want, args := range map[string][]string{
		`-version "" cannot be part of a file name`:        {},
		`-version "a/b" cannot be part of a file name`:     {"-version", "a/b"},
		`linux: not a platform: write it like linux/amd64`: {"-version", "v1", "-platforms", "linux", "-out", t.TempDir()},
	} {
		if err := run(t.Context(), args); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", args, err, want)
		}
	}
}
