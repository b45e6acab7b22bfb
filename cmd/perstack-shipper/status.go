package main

import (
	"cmp"
	"fmt"
	"os"
	"time"

	"perstack-shipper/config"
	"perstack-shipper/shipper/journal"
	"perstack-shipper/shipper/run"
	"perstack-shipper/shipper/status"
)

// runStatus prints on stdout how far each input of a journal folder has been shipped.
func runStatus(options *config.Status) int {
	view, err := lookInto(options.JournalFolder)
	if err != nil {
		return fail(err)
	}
	inputs, err := status.Inputs(view, time.Now())
	if err != nil {
		return cannotTell(err)
	}
	if options.JSON {
		return printed(0, status.WriteJSON(os.Stdout, inputs))
	}
	if len(inputs) == 0 {
		fmt.Fprintf(os.Stderr, "%s: no input is in %s\n", config.Program, view.Path())
	}
	return printed(0, status.Write(os.Stdout, inputs))
}

// runHealthcheck prints on stderr what is not healthy, and nothing if all is.
func runHealthcheck(options *config.Healthcheck) int {
	view, err := lookInto(options.JournalFolder)
	if err != nil {
		return fail(err)
	}
	now := time.Now()
	if options.Live {
		if dead := status.Dead(view, run.Hostname(), now); dead != "" {
			fmt.Fprintf(os.Stderr, "%s: %s\n", config.Program, dead)
			return exitFailure
		}
		return exitOK
	}
	unhealthy, err := status.Unhealthy(view, status.Limits{OlderThan: options.OlderThan, IgnoreRejects: options.IgnoreRejects}, now)
	if err != nil {
		return cannotTell(err)
	}
	for _, sentence := range unhealthy {
		fmt.Fprintf(os.Stderr, "%s: %s\n", config.Program, sentence)
	}
	if len(unhealthy) > 0 {
		return exitFailure
	}
	return exitOK
}

// lookInto returns a view of the journal folder.
func lookInto(options config.JournalFolder) (*journal.View, error) {
	view, err := status.Open(cmp.Or(options.JournalDir, config.DefaultJournalDir()))
	if err != nil {
		return nil, config.Usage("--journal-dir", "%v", err)
	}
	return view, nil
}
