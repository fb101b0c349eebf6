package service

import (
	"context"
	"errors"
	"time"
)

// StartTime bounds how long a service waits at its start for what it depends on.
const StartTime = 15 * time.Second

// Wait calls ping until it succeeds, so that services may be started in any order, and gives up when ctx ends.
func Wait(ctx context.Context, ping func(context.Context) error) error {
	for {
		err := ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}
