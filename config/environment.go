package config

import (
	"errors"
	"strings"

	"github.com/alecthomas/kong"
)

// environment gives kong the options that are set by environment variables, and remembers which it gave, so that an
// error can name the variable that somebody has to mend.
type environment struct {
	variables map[string]string
	// used maps an option to the variable it was taken from.
	used map[string]string
}

func newEnvironment(environ []string) *environment {
	env := &environment{variables: map[string]string{}, used: map[string]string{}}
	for _, line := range environ {
		if name, value, found := strings.Cut(line, "="); found && value != "" && strings.HasPrefix(name, EnvPrefix) {
			env.variables[name] = value
		}
	}
	return env
}

// EnvName returns the environment variable of an option, such as PERSTACK_SHIPPER_LOG_GROUP of --log-group.
func EnvName(option string) string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(strings.TrimPrefix(option, "--"), "-", "_"))
}

// Validate has nothing to say: a variable of no option may be another program's.
func (*environment) Validate(*kong.Application) error { return nil }

// Resolve returns the value of a flag that the command line does not give, or nil.
func (e *environment) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	name := EnvName(flag.Name)
	value, set := e.variables[name]
	if !set || flag.Name == "help" {
		return nil, nil
	}
	e.used["--"+flag.Name] = name
	switch flag.Target.Interface().(type) {
	case List, Pairs:
		return kong.SplitEscaped(value, ','), nil
	}
	return value, nil
}

// blame names the variable in an error about an option that came from one.
func (e *environment) blame(err error) error {
	var usage *UsageError
	if errors.As(err, &usage) {
		usage.Env = e.used[usage.Option]
	}
	return err
}
