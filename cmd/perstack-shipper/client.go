package main

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"perstack-shipper/config"
	"perstack-shipper/shipper/cloudwatch"
)

// connect returns a client of the target's log group that creates missing groups and streams as
// creation says. It makes no call yet, so an error is one of configuration, and names the option to
// correct.
func connect(ctx context.Context, target config.Target, creation config.Creation, log *zap.Logger) (*cloudwatch.Client, error) {
	use := cloudwatch.Writing
	if !creation.Create {
		use = cloudwatch.Filling
	}
	return newClient(ctx, target, cloudwatch.Options{
		Use: use, RetentionDays: creation.RetentionDays, KMSKeyID: creation.KMSKeyID, Tags: creation.Tags.Map(), Logger: log,
	})
}

// connectReader returns a client for the commands that read back.
func connectReader(ctx context.Context, target config.Target, log *zap.Logger) (*cloudwatch.Client, error) {
	return newClient(ctx, target, cloudwatch.Options{Use: cloudwatch.Reading, Logger: log})
}

func newClient(ctx context.Context, target config.Target, o cloudwatch.Options) (*cloudwatch.Client, error) {
	o.Group, o.Region, o.Endpoint, o.Caller = target.LogGroup, target.Region, target.EndpointURL, cloudwatch.Caller(target.Caller)
	client, err := cloudwatch.New(ctx, o)
	switch {
	case err == nil:
		return client, nil
	case errors.Is(err, cloudwatch.ErrNoRegion):
		return nil, config.Usage("--region", "is not given, and neither the environment nor the AWS configuration has one: "+
			"give one, as in --region eu-west-1, or set AWS_REGION")
	case errors.Is(err, cloudwatch.ErrRegion):
		return nil, config.Usage("--region", "%v", err)
	case errors.Is(err, cloudwatch.ErrProfile):
		return nil, config.Usage("--profile", "or AWS_PROFILE: %v: name an existing one, or create it with aws configure --profile", err)
	case errors.Is(err, cloudwatch.ErrEndpoint):
		return nil, config.Usage("--endpoint-url", "or AWS_ENDPOINT_URL: %v", err)
	}
	return nil, config.Usage("", "%v", err)
}
