package main

// This file writes a software bill of materials in CycloneDX 1.6 format. It lists the modules that
// the linker put into a program, according to the program itself, not everything in go.mod.
// https://cyclonedx.org/docs/1.6/json/

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"perstack-shipper/config"
)

type bom struct {
	Format       string       `json:"bomFormat"`
	SpecVersion  string       `json:"specVersion"`
	SerialNumber string       `json:"serialNumber"`
	Version      int          `json:"version"`
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type metadata struct {
	Timestamp  string     `json:"timestamp"`
	Component  component  `json:"component"`
	Properties []property `json:"properties"`
}

type component struct {
	Type     string    `json:"type"`
	Ref      string    `json:"bom-ref"`
	Name     string    `json:"name"`
	Version  string    `json:"version"`
	PURL     string    `json:"purl"`
	Hashes   []hash    `json:"hashes,omitempty"`
	Licenses []license `json:"licenses"`
}

type hash struct {
	Alg     string `json:"alg"`
	Content string `json:"content"`
}

type license struct {
	License struct {
		ID string `json:"id"`
	} `json:"license"`
}

type dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn,omitempty"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// sbom returns the bill of materials of a program built for platform.
func (r *release) sbom(ctx context.Context, platform string, program []byte) ([]byte, error) {
	info, err := buildinfo.Read(bytes.NewReader(program))
	if err != nil {
		return nil, err
	}
	licenses, err := r.licenses(ctx, info.Deps)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(program)
	main := newComponent("application", info.Main.Path, r.version, "Apache-2.0")
	main.Name = config.Program
	main.Hashes = []hash{{"SHA-256", fmt.Sprintf("%x", sum)}}
	b := bom{
		Format: "CycloneDX", SpecVersion: "1.6", Version: 1, SerialNumber: serialNumber(sum),
		Metadata: metadata{
			Timestamp: r.date.Format(time.RFC3339), Component: main, Properties: []property{{"platform", platform}},
		},
		Components: []component{newComponent("library", "std", strings.TrimPrefix(info.GoVersion, "go"), "BSD-3-Clause")},
	}
	for i, module := range info.Deps {
		b.Components = append(b.Components, newComponent("library", module.Path, module.Version, licenses[i]))
	}
	root := dependency{Ref: main.Ref}
	for _, c := range b.Components {
		root.DependsOn = append(root.DependsOn, c.Ref)
		b.Dependencies = append(b.Dependencies, dependency{Ref: c.Ref})
	}
	b.Dependencies = append(b.Dependencies, root)
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err = encoder.Encode(b)
	return out.Bytes(), err
}

// serialNumber returns a UUID (version 8) derived from the program's bytes, so that the same
// program always has the same number.
func serialNumber(sum [sha256.Size]byte) string {
	sum[6] = sum[6]&0x0f | 0x80
	sum[8] = sum[8]&0x3f | 0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

func newComponent(kind, path, version, id string) component {
	purl := "pkg:golang/" + path + "@" + url.PathEscape(version)
	c := component{Type: kind, Ref: purl, Name: path, Version: version, PURL: purl, Licenses: make([]license, 1)}
	c.Licenses[0].License.ID = id
	return c
}

// licenses returns the SPDX identifier of each module's licence, found in its source.
func (r *release) licenses(ctx context.Context, modules []*debug.Module) ([]string, error) {
	args := []string{"list", "-m", "-f", "{{.Dir}}"}
	for _, m := range modules {
		if m.Replace != nil {
			return nil, fmt.Errorf("%s is replaced by %s: a release must use modules that anybody can fetch", m.Path, m.Replace.Path)
		}
		args = append(args, m.Path)
	}
	out, err := exec.CommandContext(ctx, r.goCommand, args...).Output()
	if err != nil {
		return nil, fmt.Errorf("go list -m: %w", err)
	}
	var ids []string
	for i, dir := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		id, err := licenseIn(dir)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", modules[i].Path, err)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// licenseIn returns the licence of the module in a folder. An unknown licence is an error, because
// a person must decide whether it may be used.
func licenseIn(dir string) (string, error) {
	for _, name := range []string{"LICENSE", "LICENSE.txt", "LICENSE.md"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			continue
		}
		if id := licenseOf(string(text)); id != "" {
			return id, nil
		}
		return "", fmt.Errorf("the licence in %s is unknown: read it, and add it to licenseOf", filepath.Join(dir, name))
	}
	return "", fmt.Errorf("no licence in %s", dir)
}

func licenseOf(text string) string {
	words := strings.Join(strings.Fields(text), " ")
	for _, known := range []struct {
		id   string
		says []string
	}{
		{"Apache-2.0", []string{"Apache License", "Version 2.0"}},
		{"MIT", []string{"Permission is hereby granted, free of charge", "THE SOFTWARE IS PROVIDED \"AS IS\""}},
		{"BSD-3-Clause", []string{"Redistribution and use in source and binary forms", "Neither the name"}},
		{"MPL-2.0", []string{"Mozilla Public License", "2.0"}},
	} {
		missing := func(says string) bool { return !strings.Contains(words, says) }
		if !slices.ContainsFunc(known.says, missing) {
			return known.id
		}
	}
	return ""
}
