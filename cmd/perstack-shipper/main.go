// Command perstack-shipper ships the events of a Perstack agent to CloudWatch Logs. This package is
// wiring only: main.go turns the command line into one command and its outcome into an exit code;
// each command has a file of its own.
//
//	main.go                                the command line to a command, its outcome to an exit code
//	ship.go, exec.go, resume.go            the commands that ship; shipping.go is what they share
//	stdin.go                               what stdin must be
//	logs.go, jobs.go, usage.go, report.go  the commands that read back; reading.go is what they share
//	verify.go, restore.go                  proving and restoring a job
//	status.go                              status and healthcheck
//	check.go, local.go, version.go         the other commands
//	client.go, system.go                   the client of CloudWatch; limits of the system
//	log.go, statusline.go, progress.go     our own log on stderr
package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"go.uber.org/zap"

	"perstack-shipper/config"
	"perstack-shipper/shipper/run"
)

// The exit codes. exec has besides those the codes of its child.
const (
	exitOK       = 0  // all that was read is in CloudWatch
	exitFailure  = 1  // what was asked for could not be done
	exitUsage    = 2  // the command line or the configuration is wrong; nothing was read
	exitUnknown  = 3  // a reader cannot tell: nothing was found, or it may not be read
	exitRejected = 65 // CloudWatch refused events for good; EX_DATAERR
	exitLeft     = 75 // something is left in the journal, for the next start; EX_TEMPFAIL
)

func main() { os.Exit(execute(os.Args[1:], os.Environ())) }

// execute carries out the command that the arguments and the environment ask for, and returns the
// exit code.
func execute(args, environ []string) int {
	defer stderr.hide()
	command, err := config.Parse(args, environ)
	if err != nil {
		return fail(err)
	}
	logger := func(options config.Log) *zap.Logger {
		log := newLogger(options, stderr)
		for _, sentence := range config.Unknown(environ) {
			log.Warn(sentence)
		}
		return log
	}
	shipsLogger := func(options config.Log) *zap.Logger {
		log := logger(options)
		if limits := systemLimits(runtime.GOOS); limits != "" {
			log.Warn(limits)
		}
		return log
	}
	switch command := command.(type) {
	case *config.Help:
		return printed(os.Stdout.WriteString(command.Text))
	case *config.Version:
		return printed(fmt.Println(versionLine()))
	case *config.Local:
		return runLocal(command)
	case *config.Logs:
		return runLogs(command, logger(command.Log))
	case *config.Jobs:
		return runJobs(command, logger(command.Log))
	case *config.Tokens:
		return runUsage(command, logger(command.Log))
	case *config.Report:
		return runReport(command, logger(command.Log))
	case *config.Restore:
		return runRestore(command, logger(command.Log))
	case *config.Status:
		return runStatus(command)
	case *config.Healthcheck:
		return runHealthcheck(command)
	case *config.Check:
		return runCheck(command, logger(command.Log))
	case *config.Verify:
		return runVerify(command, logger(command.Log))
	}

	outliveBrokenPipes()
	spareMemory()
	switch command := command.(type) {
	case *config.Ship:
		return runShip(command, shipsLogger(command.Log))
	case *config.Exec:
		return runExec(command, shipsLogger(command.Log))
	case *config.Resume:
		return runResume(command, shipsLogger(command.Log))
	}
	return fail(fmt.Errorf("the command %T has no way to run", command))
}

// fail says on stderr, in one line, why the command cannot go on, and returns the exit code for it.
// Errors of configuration are *config.UsageError, also those that only a look at the machine could
// find.
func fail(err error) int {
	if wrong, ok := errors.AsType[*run.OptionError](err); ok {
		err = config.Usage(wrong.Option, "%s", wrong.Problem)
	}
	line := strings.NewReplacer("\n", " ", "\r", " ").Replace(err.Error())
	fmt.Fprintf(stderr, "%s: %s\n", config.Program, line)
	var usage *config.UsageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailure
}

// cannotTell says on stderr, in one line, why a reader cannot tell what it was asked, and returns
// the exit code for it.
func cannotTell(err error) int {
	fail(err)
	return exitUnknown
}

// printed returns the exit code of a command whose whole work was a write to stdout.
func printed(_ int, err error) int {
	if err != nil {
		return fail(err)
	}
	return exitOK
}

// spareMemory makes the garbage collector come at a quarter over what is in use, not at the double.
// What ships allocates little and holds much: with 100 streams that is 20 MB less, and costs no CPU
// that can be measured.
func spareMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(25)
	}
}

// outliveBrokenPipes makes a write to a stdout or stderr that nobody reads any more an error of
// that write. Without it SIGPIPE would end the process, and what it has read would wait for another
// start. The signal is caught, not ignored, because a child would inherit that; nobody needs to
// receive it. So is SIGXFSZ: a limit on the size of files is a full journal, not the end.
func outliveBrokenPipes() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE, syscall.SIGXFSZ) }
