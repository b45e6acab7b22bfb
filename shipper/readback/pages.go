package readback

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v4"

	"perstack-shipper/shipper/cloudwatch"
)

// A failed call is retried for a minute. After that whoever is waiting for the result must be told.
const (
	firstRetry = 200 * time.Millisecond
	maxRetry   = 10 * time.Second
	retryFor   = time.Minute
)

// pages fetches pages, the first with the token "", until fetch reports the end, and calls use with
// each element. It retries a call whose error may pass. The [CallError] that it returns is a copy
// of call, which names the call.
func pages[T any](ctx context.Context, src Source, call CallError, fetch func(token string) (page []T, next string, end bool, err error), use func(T) error) error {
	for token, end := "", false; !end; {
		var page []T
		attempt := func() error {
			p, next, isEnd, err := fetch(token)
			if err == nil {
				page, token, end = p, next, isEnd
				return nil
			}
			call.Err = err // backoff loses the error when the context ends
			switch cloudwatch.Classify(err) {
			case cloudwatch.Retry, cloudwatch.Throttled, cloudwatch.Again:
				return err
			case cloudwatch.Credentials:
				if src, ok := src.(interface{ InvalidateCredentials() }); ok {
					src.InvalidateCredentials()
				}
				return err
			}
			return backoff.Permanent(err)
		}
		policy := backoff.NewExponentialBackOff(backoff.WithInitialInterval(firstRetry), backoff.WithMaxInterval(maxRetry),
			backoff.WithMultiplier(2), backoff.WithRandomizationFactor(1), backoff.WithMaxElapsedTime(retryFor))
		if backoff.Retry(attempt, backoff.WithContext(policy, ctx)) != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return &call
		}
		for _, one := range page {
			if err := use(one); err != nil {
				return err
			}
		}
	}
	return nil
}
