// Package config declares every option of perstack-shipper once: flag, environment variable,
// default, help and validation. [Parse] turns a command line and an environment into the command to
// run, or into a one-line [UsageError] that names the option and the remedy.
//
// The environment variable of a flag is PERSTACK_SHIPPER_ followed by the flag's name in capitals,
// with _ for -: --log-group is PERSTACK_SHIPPER_LOG_GROUP. A flag wins over its variable, and an
// empty variable counts as unset. The variable of a flag that may be repeated holds several values
// separated by commas; \, stands for a comma in a value. The AWS_… variables belong to the AWS SDK
// and are not read here. [Unknown] finds variables that look like options but are not.
//
//	config.go             Parse: from a command line and an environment to a command
//	options.go, check.go  the structs that declare the options; validation of their values
//	option.go             an option, read from its declaration
//	environment.go        environment variables
//	values.go, times.go   sizes, durations, lists, pairs and points in time
//	journaldir.go         the default of --journal-dir
//	help.go, manpage.go   the help and the man page
//	completion.go         shell completion
package config

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// Program is the name of the program in its help and errors.
const Program = "perstack-shipper"

// envPrefix is the prefix of every environment variable that sets an option.
const envPrefix = "PERSTACK_SHIPPER_"

// Command is the command that a command line asks for: one of *Ship, *Exec, *Resume, *Status,
// *Healthcheck, *Logs, *Verify, *Jobs, *Tokens, *Report, *Restore, *Check, *Local, *Version and
// *Help.
type Command interface {
	// check returns a *UsageError about the first invalid option.
	check() error
}

// Help is the command of a command line with --help. Running it means to print Text.
type Help struct {
	// Text is the help text, ending in a newline.
	Text string
}

func (*Help) check() error { return nil }

// UsageError says in one line what is wrong with the command line or the environment. The program
// exits with 2 before it reads any input.
type UsageError struct {
	// Option is the invalid option, such as "--log-group", or empty if no option is to blame.
	Option string
	// Env is the environment variable that set Option, or empty.
	Env string
	// Problem says what is wrong and, after a colon or semicolon, what to do. It reads on from the
	// option's name.
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

// Usage returns a UsageError about option, such as "--region". Callers use it for problems that
// show only after Parse, such as a folder that cannot be written. The format makes Problem.
func Usage(option, format string, args ...any) *UsageError {
	return &UsageError{Option: option, Problem: fmt.Sprintf(format, args...)}
}

// commandLine is the grammar: the commands and their options.
type commandLine struct {
	Ship        Ship        `help:"Ship stdin, or the files of --input. The default."`
	Exec        Exec        `help:"Run a command and ship what it writes."`
	Resume      Resume      `help:"Ship what earlier runs left in the journal."`
	Status      Status      `help:"Show the progress of each input in the journal."`
	Healthcheck Healthcheck `help:"Exit with 1 when shipping is late or has stopped."`
	Logs        Logs        `help:"Print a job's lines as the agent wrote them."`
	Verify      Verify      `help:"Prove that a job is complete and unaltered."`
	Jobs        Jobs        `help:"List jobs and how they ended."`
	Usage       Tokens      `help:"Count tokens and calls by Expert, run, step, job or day."`
	Report      Report      `help:"Write one HTML file about a job."`
	Restore     Restore     `help:"Write a job's checkpoints and event files back."`
	Check       Check       `help:"Test whether shipping would work, and report problems."`
	Local       Local       `help:"Serve a CloudWatch Logs endpoint on this machine."`
	Version     Version     `help:"Print version, commit and Go version."`
}

// Parse reads the arguments, without the program's name, and the environment, in the form of
// os.Environ. Its error is a *UsageError.
func Parse(args, environ []string) (Command, error) {
	args = conventional(args)
	if len(args) > 0 && (args[0] == "--help" || args[0] == "-h") {
		return &Help{Text: overviewHelp()}, nil
	}
	name := "ship"
	named := len(args) > 0 && !strings.HasPrefix(args[0], "-")
	if named {
		if name, args = args[0], args[1:]; !slices.Contains(commandNames, name) {
			return nil, unknownCommand(name)
		}
	}
	var line commandLine
	command := line.command(name)
	options := optionsOf(command)
	if !named {
		if err := lateCommand(args, options); err != nil {
			return nil, err
		}
	}
	flags := flagsOf(options)
	// Arguments after the child's name belong to the child.
	flags.SetInterspersed(name != "exec")
	if err := missingValue(args, options); err != nil {
		return nil, err
	}
	err := flags.Parse(joinTee(args, options))
	if errors.Is(err, pflag.ErrHelp) {
		return &Help{Text: commandHelp(name, options)}, nil
	}
	if err != nil {
		return nil, asUsage(err, name, options)
	}
	env := newEnvironment(environ)
	if err := env.fill(options, flags); err != nil {
		return nil, env.blame(err)
	}
	if flags.NArg() > 0 {
		switch command := command.(type) {
		case *Exec:
			command.Command = flags.Args()
		case *Verify:
			command.Files = flags.Args()
		default:
			return nil, unexpected(name, flags.Arg(0))
		}
	}
	if err := command.check(); err != nil {
		return nil, env.blame(err)
	}
	return command, nil
}

// flagsOf returns the options as a flag set. There are only long flags, and the defaults are set
// already.
func flagsOf(options []option) *pflag.FlagSet {
	flags := pflag.NewFlagSet(Program, pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	for _, o := range options {
		flag := flags.VarPF(&flagValue{o: o}, o.name, "", o.help)
		flag.NoOptDefVal = o.alone
		if o.negatable {
			flags.VarPF(&flagValue{o: o, negates: true}, "no-"+o.name, "", "").NoOptDefVal = "true"
		}
	}
	return flags
}

// conventional translates the spellings that people try, help and --version, into those of the
// grammar.
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

// missingValue finds an option that needs a value but is last or followed by another option.
// Reporting the forgotten value is better than taking the next option for it.
func missingValue(args []string, options []option) error {
	for i, arg := range args {
		if arg == "--" {
			break
		}
		o := find(options, strings.TrimPrefix(arg, "--"))
		if !strings.HasPrefix(arg, "--") || o == nil || o.alone != "" {
			continue
		}
		if i+1 == len(args) || strings.HasPrefix(args[i+1], "--") {
			return Usage(arg, "has no value: write it like %s=VALUE", arg)
		}
	}
	return nil
}

// joinTee turns "--tee none" into "--tee=none", because the parser would read it as --tee and a
// command called none. It does the same for stderr and all.
func joinTee(args []string, options []option) []string {
	for i := 0; i+1 < len(args) && strings.HasPrefix(args[i], "--") && args[i] != "--"; i++ {
		o := find(options, strings.TrimPrefix(args[i], "--"))
		switch {
		case o == nil:
		case o.alone == "":
			i++ // its value
		case o.alone == string(TeeAll) && slices.Contains([]Tee{TeeNone, TeeStderr, TeeAll}, Tee(args[i+1])):
			return slices.Concat(args[:i], []string{args[i] + "=" + args[i+1]}, args[i+2:])
		}
	}
	return args
}

// asUsage turns an error of the parser into a UsageError. Errors from our own values name the
// option already. The parser's own errors, such as an unknown flag, point to the help.
func asUsage(err error, command string, options []option) error {
	var usage *UsageError
	if errors.As(err, &usage) {
		return usage
	}
	problem, see := err.Error(), "; see "
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		dashes, name := "--", unknown.GetSpecifiedName()
		// No option has a single dash.
		if letters := unknown.GetSpecifiedShortnames(); letters != "" {
			dashes, name = "-", letters
		}
		problem = "unknown flag " + dashes + name
		name, _, _ = strings.Cut(name, "=")
		if nearest := nearest(name, options); nearest != "" {
			problem, see = fmt.Sprintf("%s: did you mean --%s?", problem, nearest), " See "
		}
	}
	return &UsageError{Problem: problem + see + Program + " " + command + " --help"}
}

// lateCommand finds a command that was written after its options. The word cannot mean anything
// else.
func lateCommand(args []string, options []option) error {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		o := find(options, strings.TrimPrefix(arg, "--"))
		switch {
		case arg == "--":
			return nil
		case strings.HasPrefix(arg, "--") && o != nil && o.alone == "":
			i++ // its value
		case slices.Contains(commandNames, arg):
			return Usage("", "the command %q must come before its options, as in %s %s %s …", arg, Program, arg, args[0])
		}
	}
	return nil
}

// unknownCommand returns the error for a first word that is not a command.
func unknownCommand(word string) error {
	problem, the := fmt.Sprintf("unknown command %q", word), "; the"
	if nearest := nearestOf(word, commandNames); nearest != "" {
		problem, the = fmt.Sprintf("%s: did you mean %q?", problem, nearest), " The"
	}
	return &UsageError{Problem: fmt.Sprintf("%s%s commands are %s; to ship a file: %s --input %s; to run a program: %s exec [flags] -- %s",
		problem, the, strings.Join(commandNames, ", "), Program, word, Program, word)}
}

// unexpected returns the error for an argument of a command that takes none.
func unexpected(command, arg string) error {
	switch command {
	case "ship":
		return Usage("", "unexpected argument %q: to ship a file: --input %s; to run a program: %s exec [flags] -- %s", arg, arg, Program, arg)
	case "logs", "usage":
		return Usage("", "unexpected argument %q: to read a job back, give its ID as --job %s", arg, arg)
	}
	return Usage("", "unexpected argument %q: %s takes options only; see %s %s --help", arg, command, Program, command)
}
