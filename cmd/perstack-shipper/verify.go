package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"go.uber.org/zap"

	"perstack-shipper/config"
	"perstack-shipper/shipper/audit/proof"
)

// verifyMemory is the number of bytes of lines to hold before sorting them on disk. With half of
// what logs holds, verifying a job of any size needs less than 40 MB in all, and no more time.
const verifyMemory = 2 << 20

// runVerify proves that everything shipped is there, and prints what is not. As with logs, signals
// simply end it.
func runVerify(options *config.Verify, log *zap.Logger) int {
	ctx := context.Background()
	client, err := connectReader(ctx, options.Target, log)
	if err != nil {
		return fail(err)
	}
	defer client.Close()
	spareMemory()

	source := newProgress(client, stderr)
	result, err := proof.Verify(ctx, source, proof.Verification{
		Jobs:           options.Jobs,
		Since:          options.Since.Time,
		Until:          options.Until.Time,
		StreamTemplate: options.LogStream,
		Search:         options.Search,
		Originals:      options.Files,
		Settle:         options.Settle,
		Unmask:         options.Unmask,
		Memory:         verifyMemory,
	}, func(j *proof.Job) error {
		stderr.Hide()
		if options.JSON {
			return nil
		}
		return proof.PrintJob(os.Stdout, j)
	})
	stderr.Hide()
	if err != nil {
		target := client.Target()
		return unread(client, err, fmt.Sprintf("nothing that perstack-shipper wrote in this time is in log group %q in %s: check --log-group, --since and --until",
			target.Group, target.Region))
	}
	if options.JSON {
		err = json.NewEncoder(os.Stdout).Encode(result)
	} else {
		err = proof.PrintVerdict(os.Stdout, result)
	}
	if err != nil {
		return fail(fmt.Errorf("print the verdict: %w", err))
	}
	switch result.Verdict {
	case proof.Complete:
		return exitOK
	case proof.NotComplete:
		return exitFailure
	}
	return exitUnknown
}
