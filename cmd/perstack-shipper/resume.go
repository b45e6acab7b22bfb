package main

import (
	"context"

	"go.uber.org/zap"

	"perstack-shipper/config"
	"perstack-shipper/shipper/cloudwatch"
	"perstack-shipper/shipper/run"
)

// runResume ships what earlier processes left, to all their targets at once.
func runResume(options *config.Resume, log *zap.Logger) int {
	signals, stop := endSignals()
	defer stop()
	return outcomeCode(run.Resume(run.ResumeOptions{
		Options:  optionsOf(options.Journal, options.Delivery, config.Metrics{}, options.Log, log),
		Redirect: run.Redirect{Group: options.LogGroup, Region: options.Region, Endpoint: options.EndpointURL},
		Caller:   cloudwatch.Caller(options.Caller),
		Signals:  signals,
		Connect: func(to cloudwatch.Target, caller cloudwatch.Caller, creation run.Creation) (*cloudwatch.Client, error) {
			target := config.Target{LogGroup: to.Group, AWS: config.AWS{Region: to.Region, EndpointURL: to.Endpoint, Caller: config.Caller(caller)}}
			return connect(context.Background(), target, recordedCreation(creation), log)
		},
	}))
}
