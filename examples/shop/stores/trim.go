package main

import (
	"context"
	"log"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"trigon.dev/examples/shop/internal/service"
)

// kept is how many records of each partition are kept, and trimTime how often the older ones go. kfake has no retention
// of its own, and a demo may run for days.
const (
	kept     = 5000
	trimTime = time.Minute
)

type trimmer struct{ client *kgo.Client }

func newTrimmer(address string) (*trimmer, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.ClientID("stores"))
	return &trimmer{client}, err
}

func (t *trimmer) close() { t.client.Close() }

func (t *trimmer) run(ctx context.Context) {
	tick := time.NewTicker(trimTime)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := t.trim(ctx); err != nil && ctx.Err() == nil {
				log.Printf("trim: %v", err)
			}
		}
	}
}

func (t *trimmer) trim(ctx context.Context) error {
	admin := kadm.NewClient(t.client)
	ends, err := admin.ListEndOffsets(ctx, service.OrdersTopic)
	if err != nil {
		return err
	}
	old := kadm.Offsets{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Err == nil && o.Offset > kept {
			old.AddOffset(o.Topic, o.Partition, o.Offset-kept, -1)
		}
	})
	if len(old) == 0 {
		return nil
	}
	deleted, err := admin.DeleteRecords(ctx, old)
	if err != nil {
		return err
	}
	return deleted.Error()
}
