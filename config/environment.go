package config

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// environment holds the variables that set options, and remembers which ones were used, so that an
// error can name the variable to fix.
type environment struct {
	variables map[string]string
	// used maps an option to the variable it was taken from.
	used map[string]string
}

func newEnvironment(environ []string) *environment {
	env := &environment{variables: map[string]string{}, used: map[string]string{}}
	for _, line := range environ {
		if name, value, found := strings.Cut(line, "="); found && value != "" && strings.HasPrefix(name, envPrefix) {
			env.variables[name] = value
		}
	}
	return env
}

// envName returns the environment variable of an option, such as PERSTACK_SHIPPER_LOG_GROUP of
// --log-group.
func envName(option string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(strings.TrimPrefix(option, "--"), "-", "_"))
}

// fill sets the options that a variable gives and the command line does not.
func (e *environment) fill(options []option, flags *pflag.FlagSet) error {
	for _, o := range options {
		name := envName(o.name)
		value, set := e.variables[name]
		if !set || o.flagOnly || flags.Changed(o.name) || o.negatable && flags.Changed("no-"+o.name) {
			continue
		}
		e.used["--"+o.name] = name
		values := []string{value}
		if o.many {
			values = splitEscaped(value)
		}
		for _, v := range values {
			if err := o.set(v); err != nil {
				return err
			}
		}
	}
	return nil
}

// splitEscaped splits at commas. A comma after a backslash does not split; the backslash is
// removed.
func splitEscaped(text string) []string {
	values := []string{""}
	for i := 0; i < len(text); i++ {
		last := &values[len(values)-1]
		switch {
		case strings.HasPrefix(text[i:], `\,`):
			*last += ","
			i++
		case text[i] == ',':
			values = append(values, "")
		default:
			*last += text[i : i+1]
		}
	}
	return values
}

// blame adds the variable to an error about an option that a variable set.
func (e *environment) blame(err error) error {
	var usage *UsageError
	if errors.As(err, &usage) {
		usage.Env = e.used[usage.Option]
	}
	return err
}

// kubernetes matches the variables that Kubernetes gives every container in the namespace of a
// service called perstack-shipper.
// https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
var kubernetes = regexp.MustCompile(`^PERSTACK_SHIPPER_(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)$`)

// Unknown returns a sentence about each variable of the environment, in the form of os.Environ,
// that has the prefix of this program but belongs to no option. Most of these are misspelt.
func Unknown(environ []string) []string {
	var line commandLine
	var known []string // names of options
	for _, command := range commandNames {
		for _, o := range optionsOf(line.command(command)) {
			known = append(known, o.name)
		}
	}
	var sentences []string
	for _, variable := range slices.Sorted(maps.Keys(newEnvironment(environ).variables)) {
		name := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(variable, envPrefix), "_", "-"))
		if slices.Contains(known, name) || kubernetes.MatchString(variable) {
			continue
		}
		remedy := "unset it, or see " + Program + " COMMAND --help for the options"
		if nearest := nearestOf(name, known); nearest != "" {
			remedy = fmt.Sprintf("did you mean %s?", envName(nearest))
		}
		sentences = append(sentences, fmt.Sprintf("the environment variable %s is not an option and is ignored; %s", variable, remedy))
	}
	return sentences
}
