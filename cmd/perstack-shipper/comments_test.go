package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestComments checks that no comment passes column 100, and that the comment of a declaration
// begins with its name. Tests may have wider comments behind code, and sentences without names.
func TestComments(t *testing.T) {
	wide := regexp.MustCompile(`^\s*//[^g]`)
	behind := regexp.MustCompile(`[^"]\s// [^"]*$`)
	declared := regexp.MustCompile(`(?m)^// (.*)\n(?://.*\n)*(?:func(?: \(.*?\))?|type|var|const) (\w+)`)
	known := 0
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Name() == ".cache" {
			return filepath.SkipDir
		}
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		source, err := os.ReadFile(path)
		test := strings.HasSuffix(path, "_test.go")
		for i, line := range strings.Split(string(source), "\n") {
			columns := utf8.RuneCountInString(line) + 3*(len(line)-len(strings.TrimLeft(line, "\t")))
			if columns > 100 && (wide.MatchString(line) || behind.MatchString(line) && !test) {
				t.Errorf("%s:%d: a comment passes column 100", path, i+1)
			}
		}
		for _, doc := range declared.FindAllStringSubmatch(string(source), -1) {
			known++
			if !test && !strings.HasPrefix(strings.TrimPrefix(strings.TrimPrefix(doc[1], "A "), "An "), doc[2]) {
				t.Errorf("%s: a comment begins with %q instead of %s", path, doc[1], doc[2])
			}
		}
		return err
	})
	if err != nil || known < 1000 {
		t.Errorf("%d declarations with comments: %v", known, err)
	}
}
