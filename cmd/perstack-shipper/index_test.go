package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The comment of a package with more than ten files says what is in each file, and names no file
// that does not exist.
func TestFileIndexes(t *testing.T) {
	files, docs := map[string][]string{}, map[string]string{}
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "testdata" || entry.Name() == ".git"):
			return filepath.SkipDir
		case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		var file *ast.File
		if file, err = parser.ParseFile(token.NewFileSet(), path, nil, parser.PackageClauseOnly|parser.ParseComments); err != nil {
			return err
		}
		dir, name := filepath.Split(path)
		files[dir] = append(files[dir], name)
		docs[dir] += file.Doc.Text()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	indexed := 0
	for dir, names := range files {
		listed := regexp.MustCompile(`\b\w+\.go\b`).FindAllString(docs[dir], -1)
		for _, name := range listed {
			if !slices.Contains(names, name) {
				t.Errorf("the package comment of %s names %s, which does not exist", dir, name)
			}
		}
		if len(names) <= 10 {
			continue
		}
		indexed++
		for _, name := range names {
			if !slices.Contains(listed, name) {
				t.Errorf("the package comment of %s does not say what is in %s", dir, name)
			}
		}
	}
	if indexed < 5 {
		t.Errorf("only %d packages have more than ten files", indexed)
	}
}
