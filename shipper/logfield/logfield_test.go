package logfield

import (
	"errors"
	"fmt"
	"testing"

	"go.uber.org/zap"
)

type lost struct{ input string }

func (e *lost) Error() string          { return "input " + e.input + " is lost" }
func (e *lost) LogFields() []zap.Field { return []zap.Field{Input(e.input), Bytes(7)} }

func TestOf(t *testing.T) {
	inner := &lost{"a"}
	for name, test := range map[string]struct {
		err  error
		want int
	}{
		"nil":                {nil, 0},
		"an error":           {errors.New("x"), 0},
		"a named one":        {inner, 2},
		"wrapped":            {fmt.Errorf("while closing: %w", inner), 2},
		"joined and wrapped": {fmt.Errorf("%w", errors.Join(inner, errors.New("x"), &lost{"b"})), 4},
	} {
		if got := Of(test.err); len(got) != test.want {
			t.Errorf("%s: %d fields, want %d", name, len(got), test.want)
		}
	}
}
