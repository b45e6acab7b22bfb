package main

import (
	"encoding/json"
	"errors"
	"fmt"
)

var errBody = errors.New("not the body of a PutLogEvents")

// decodeBody calls each with the events in the body of a put, in order. It uses no code of the
// measured program, and runs only after the measurement.
func decodeBody(body []byte, each func(timestamp int64, message []byte) error) error {
	var put struct {
		LogEvents []struct {
			Timestamp *int64
			Message   *string
		}
	}
	if err := json.Unmarshal(body, &put); err != nil {
		return fmt.Errorf("%w: %w", errBody, err)
	}
	for i, e := range put.LogEvents {
		if e.Timestamp == nil || e.Message == nil {
			return fmt.Errorf("%w: event %d has no timestamp or no message", errBody, i)
		}
		if err := each(*e.Timestamp, []byte(*e.Message)); err != nil {
			return err
		}
	}
	return nil
}
