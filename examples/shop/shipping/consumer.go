package main

import (
	"context"
	"log"

	"github.com/twmb/franz-go/pkg/kgo"

	"trigon.dev/examples/shop/internal/service"
)

// consumer reads the orders topic as a member of the group `shipping`.
type consumer struct{ client *kgo.Client }

func openConsumer(ctx context.Context, address string) (*consumer, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.ClientID("shipping"), kgo.ConsumerGroup("shipping"),
		kgo.ConsumeTopics(service.OrdersTopic), kgo.AllowAutoTopicCreation())
	if err != nil {
		return nil, err
	}
	if err := service.Wait(ctx, client.Ping); err != nil {
		client.Close()
		return nil, err
	}
	return &consumer{client}, nil
}

// consume hands each record to handle until ctx ends.
func (c *consumer) consume(ctx context.Context, handle func(context.Context, *kgo.Record) error) {
	for {
		fetches := c.client.PollFetches(ctx)
		if ctx.Err() != nil || fetches.IsClientClosed() {
			return
		}
		fetches.EachError(func(topic string, partition int32, err error) {
			log.Printf("fetch of %s/%d: %v", topic, partition, err)
		})
		fetches.EachRecord(func(r *kgo.Record) {
			// What cannot be read now cannot be read later either.
			if err := handle(ctx, r); err != nil {
				log.Printf("record %d of %s/%d: %v", r.Offset, r.Topic, r.Partition, err)
			}
		})
	}
}

// close commits what was read and leaves the group.
func (c *consumer) close() { c.client.Close() }
