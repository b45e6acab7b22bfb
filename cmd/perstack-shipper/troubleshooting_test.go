package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// loggers is the functions whose first argument becomes a message on stderr.
var loggers = []string{"Info", "Warn", "Error", "complain", "lose", "leave", "once"}

// verb matches a verb of a format.
var verb = regexp.MustCompile(`%[-+#.0-9]*[a-zA-Z]`)

// TestTroubleshooting finds messages about shipping that docs/troubleshooting.md lacks.
func TestTroubleshooting(t *testing.T) {
	page := strings.Join(strings.Fields(document(t, "docs/troubleshooting.md")), " ")
	found := 0
	for _, dir := range []string{".", "../../shipper", "../../shipper/run", "../../shipper/feed", "../../shipper/guard", "../../shipper/deliver", "../../shipper/follow", "../../shipper/journal", "../../shipper/cloudwatch"} {
		paths, err := filepath.Glob(dir + "/*.go")
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s has no source: %v", dir, err)
		}
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			all := messages(t, path)
			if filepath.Base(path) == "explain.go" { // it only builds sentences
				all = sentences(t, path)
			}
			for _, message := range all {
				// Pages show messages with gaps between the constant pieces. Look for the longest
				// piece.
				pieces := verb.Split(message, -1)
				longest := slices.MaxFunc(pieces, func(a, b string) int { return len(a) - len(b) })
				longest = strings.Trim(longest, " ;:,.`")
				if len(longest) < 12 {
					continue // it is not a message by itself: an error precedes or follows it
				}
				found++
				if !strings.Contains(page, longest) {
					t.Errorf("%s: docs/troubleshooting.md lacks %q", path, message)
				}
			}
		}
	}
	if found < 60 {
		t.Errorf("only %d messages are found in the source", found)
	}
}

// messages returns the constant texts in a file that are logged or returned by the Error method of
// an error.
func messages(t *testing.T, path string) (found []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, declaration := range file.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		isError := ok && function.Recv != nil && function.Name.Name == "Error" && len(function.Type.Params.List) == 0
		ast.Inspect(declaration, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			if name := calledName(call); slices.Contains(loggers, name) || isError && name == "Sprintf" {
				if text := constantText(call.Args[0]); text != "" {
					found = append(found, text)
				}
			}
			return true
		})
	}
	return found
}

// sentences returns the texts in a file that are long enough to mean something by themselves.
func sentences(t *testing.T, path string) (found []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if literal, ok := n.(*ast.BasicLit); ok {
			if text := constantText(literal); len(text) > 20 && strings.Contains(text, " ") {
				found = append(found, text)
			}
		}
		return true
	})
	return found
}

func calledName(call *ast.CallExpr) string {
	switch function := call.Fun.(type) {
	case *ast.SelectorExpr:
		return function.Sel.Name
	case *ast.Ident:
		return function.Name
	}
	return ""
}

// constantText returns the constant text of an expression: of a literal, of joined literals with %s
// for other operands, or of the format in a call.
func constantText(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		if err != nil || e.Kind != token.STRING {
			return ""
		}
		return text
	case *ast.BinaryExpr:
		left, right := constantText(e.X), constantText(e.Y)
		if left == "" && right == "" {
			return ""
		}
		return left + "%s" + right
	case *ast.CallExpr:
		if name := calledName(e); (name == "Sprintf" || name == "Errorf" || name == "New") && len(e.Args) > 0 {
			return constantText(e.Args[0])
		}
	}
	return ""
}

// TestMessagesHaveFields finds messages whose varying parts are only in the sentence. A program
// that reads the log as JSON would have to parse the sentence.
func TestMessagesHaveFields(t *testing.T) {
	found := 0
	for _, dir := range []string{"../../shipper", "../../shipper/run", "../../shipper/feed", "../../shipper/guard", "../../shipper/deliver", "../../shipper/follow", "../../shipper/cloudwatch"} {
		paths, err := filepath.Glob(dir + "/*.go")
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s has no source: %v", dir, err)
		}
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || len(call.Args) == 0 || !slices.Contains([]string{"Info", "Warn", "Error"}, calledName(call)) {
					return true
				}
				found++
				if _, constant := call.Args[0].(*ast.BasicLit); !constant && len(call.Args) == 1 {
					t.Errorf("%s: this message has no fields", set.Position(call.Pos()))
				}
				return true
			})
		}
	}
	if found < 50 {
		t.Errorf("only %d messages are found in the source", found)
	}
}
