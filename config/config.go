// Package config holds every option of perstack-shipper, each declared once: flag, environment variable, default,
// help and validation. Parse turns a command line and an environment into the command to run, or into a UsageError
// of one line that names the option and the remedy.
//
// A flag's environment variable is PERSTACK_SHIPPER_ and its name in capitals, with _ for -: --log-group is
// PERSTACK_SHIPPER_LOG_GROUP. A flag wins over its variable; an empty variable is one that is not set. A variable of
// a flag that may be given several times holds several values with commas between them, and \, for a comma in a value.
// The variables AWS_… mean what the AWS SDK means by them and are not read here.
//
// The structs of the options are in options.go, their checks in check.go.
package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// Program is the name of the program, in its usage and its errors.
const Program = "perstack-shipper"

// EnvPrefix begins the name of every environment variable that is an option.
const EnvPrefix = "PERSTACK_SHIPPER_"

// Command is what a command line asked for: one of *Ship, *Exec, *Resume, *Logs, *Local, *Version and *Help.
type Command interface {
	// check reports the first option that cannot be, as a *UsageError.
	check() error
}

// Help is the command of a line with --help: Text is all there is to do.
type Help struct {
	// Text is the help asked for, with a newline at its end.
	Text string
}

func (*Help) check() error { return nil }

// UsageError says what is wrong with the command line or its environment, in one line. The program exits with 2 on it,
// before a byte of input is read.
type UsageError struct {
	// Option is the option that is wrong, as in "--log-group", or empty where it is none.
	Option string
	// Env is the environment variable that Option came from, or empty.
	Env string
	// Problem says what is wrong and, after a colon or semicolon, what to do. It follows the option's name.
	Problem string
}

// Error returns the line, without the program's name and without a newline.
func (e *UsageError) Error() string {
	line := e.Problem
	if e.Env != "" {
		line = e.Env + " (" + e.Option + ") " + line
	} else if e.Option != "" {
		line = e.Option + " " + line
	}
	return strings.NewReplacer("\n", " ", "\r", " ").Replace(line)
}

// Usage returns a UsageError about option ("--region"), for what can only be found wrong after Parse, such as
// a folder that cannot be written. The format makes Problem.
func Usage(option, format string, args ...any) *UsageError {
	return &UsageError{Option: option, Problem: fmt.Sprintf(format, args...)}
}

// commandLine is the grammar: the commands and, in each, its options.
type commandLine struct {
	Ship    Ship    `cmd:"" default:"withargs" help:"Ship stdin, or the files of --input. The default."`
	Exec    Exec    `cmd:"" help:"Run a command and ship what it writes."`
	Resume  Resume  `cmd:"" help:"Ship what earlier runs left in the journal."`
	Logs    Logs    `cmd:"" help:"Print a job's lines as the agent wrote them."`
	Local   Local   `cmd:"" help:"Serve a CloudWatch Logs endpoint on this machine."`
	Version Version `cmd:"" help:"Print version, commit and Go version."`
}

// commandNames are the commands of commandLine.
var commandNames = []string{"ship", "exec", "resume", "logs", "local", "version"}

// Parse reads the arguments (without the program's name) and the environment (as of os.Environ). A returned error is a
// *UsageError, but for a fault in the grammar itself.
func Parse(args, environ []string) (Command, error) {
	args = conventional(args)
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") && !slices.Contains(commandNames, args[0]) {
		return nil, unexpected(args[0])
	}
	var line commandLine
	env := newEnvironment(environ)
	var help strings.Builder
	helped := false
	parser, err := kong.New(&line,
		kong.Name(Program),
		kong.Description("Ships the events of a Perstack agent to CloudWatch Logs and loses none."),
		kong.Writers(&help, &help),
		kong.Exit(func(int) { helped = true }),
		kong.Help(printHelp),
		kong.TypeMapper(reflect.TypeFor[time.Duration](), kong.MapperFunc(decodeDuration)),
		kong.TypeMapper(reflect.TypeFor[string](), kong.MapperFunc(decodeString)),
		kong.TypeMapper(reflect.TypeFor[int](), kong.MapperFunc(decodeInt)),
		kong.Resolvers(env),
	)
	if err != nil {
		return nil, fmt.Errorf("the grammar of the options: %w", err)
	}
	parsed, err := parser.Parse(args)
	if helped {
		return &Help{Text: help.String()}, nil
	}
	if err != nil {
		return nil, env.blame(asUsage(err, args))
	}
	commands := map[string]Command{
		"ship": &line.Ship, "exec": &line.Exec, "resume": &line.Resume,
		"logs": &line.Logs, "local": &line.Local, "version": &line.Version,
	}
	command := commands[parsed.Selected().Name]
	if err := command.check(); err != nil {
		return nil, env.blame(err)
	}
	return command, nil
}

// conventional turns the spellings that people try, help and --version, into the ones of the grammar.
func conventional(args []string) []string {
	if len(args) == 0 {
		return args
	}
	switch args[0] {
	case "--version":
		return append([]string{"version"}, args[1:]...)
	case "help":
		return append(args[1:len(args):len(args)], "--help")
	}
	return args
}

// asUsage makes a UsageError of whatever the parser reports. Our own decoders name the option themselves; what the
// parser found by itself, an unknown flag say, gets the way to the help.
func asUsage(err error, args []string) error {
	var usage *UsageError
	if errors.As(err, &usage) {
		return usage
	}
	see := Program + " ship --help"
	if slices.Contains(commandNames, args[0]) {
		see = Program + " " + args[0] + " --help"
	}
	return &UsageError{Problem: err.Error() + "; see " + see}
}

// unexpected is the error about an argument that is neither option nor command.
func unexpected(arg string) error {
	return Usage("", "unexpected argument %q: the commands are %s; to run a program: %s exec [flags] -- %s",
		arg, strings.Join(commandNames, ", "), Program, arg)
}
