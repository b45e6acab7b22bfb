// Command perstack-shipper ships the events of a Perstack agent to CloudWatch Logs. This package is
// wiring only: main.go turns the command line into one command and its outcome into an exit code;
// each command has a file of its own.
//
//	main.go                                from the command line to a command, and to an exit code
//	ship.go, exec.go, resume.go            the commands that ship; shipping.go is what they share
//	stdin.go                               what stdin must be
//	logs.go, jobs.go, usage.go, report.go  the commands that read back; reading.go is shared
//	verify.go, restore.go                  proving and restoring a job
//	status.go                              status and healthcheck
//	check.go, local.go, version.go         the other commands
//	client.go                              the client of CloudWatch
//	log.go, progress.go                    the program's messages and status on stderr
package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"go.uber.org/zap"

	"perstack-shipper/config"
	"perstack-shipper/shipper/run"
)

// The exit codes. exec also has those of its command.
const (
	exitOK       = 0  // all that was read is in CloudWatch
	exitFailure  = 1  // the command failed
	exitUsage    = 2  // the command line or the configuration is wrong; nothing was read
	exitUnknown  = 3  // a reader cannot tell: it found nothing, or may not read it
	exitRejected = 65 // CloudWatch rejected events; EX_DATAERR
	exitLeft     = 75 // something is left in the journal for the next start; EX_TEMPFAIL
)

func main() { os.Exit(execute(os.Args[1:], os.Environ())) }

// execute carries out the command that the arguments and the environment ask for, and returns the
// exit code.
func execute(args, environ []string) int {
	defer stderr.Hide()
	command, err := config.Parse(args, environ)
	if err != nil {
		return fail(err)
	}
	logger := func(options config.Log) *zap.Logger {
		log := newLogger(options)
		for _, sentence := range config.Unknown(environ) {
			log.Warn(sentence)
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
		return runShip(command, logger(command.Log))
	case *config.Exec:
		return runExec(command, logger(command.Log))
	case *config.Resume:
		return runResume(command, logger(command.Log))
	}
	return fail(fmt.Errorf("nothing runs a %T", command))
}

// fail prints on stderr, in one line, why the command cannot continue, and returns the exit code
// for it. Errors of configuration are a *config.UsageError, including those that only a look at the
// machine reveals.
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

// cannotTell prints on stderr, in one line, why a reader has no answer, and returns the exit code
// for it.
func cannotTell(err error) int {
	fail(err)
	return exitUnknown
}

// printed returns the exit code of a command that only writes to stdout.
func printed(_ int, err error) int {
	if err != nil {
		return fail(err)
	}
	return exitOK
}

// spareMemory starts a garbage collection when the heap has grown by a quarter instead of to twice
// its size. A shipper allocates little and holds much: with 100 streams this saves 20 MB, and costs
// no CPU time that can be measured.
func spareMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(25)
	}
}

// outliveBrokenPipes makes a write to a closed stdout or stderr fail with an error. Otherwise
// SIGPIPE would end the process, and the bytes it has read would wait for another start. It also
// catches SIGXFSZ: to the journal, a limit on file sizes is a full disk. Both signals are caught
// rather than ignored because a child would inherit that; nobody receives from the channel.
func outliveBrokenPipes() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE, syscall.SIGXFSZ) }
