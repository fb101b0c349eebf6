package main

import (
	"context"
	"encoding/json"

	"github.com/twmb/franz-go/pkg/kgo"

	"trigon.dev/examples/shop/internal/service"
)

// events tells whoever wants to know that an order was placed or cancelled.
type events struct{ client *kgo.Client }

func openEvents(ctx context.Context, address string) (*events, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.ClientID("orders"), kgo.AllowAutoTopicCreation())
	if err != nil {
		return nil, err
	}
	if err := service.Wait(ctx, client.Ping); err != nil {
		client.Close()
		return nil, err
	}
	return &events{client}, nil
}

// publish returns when the broker has the event.
func (e *events) publish(ctx context.Context, o *order) error {
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return e.client.ProduceSync(ctx, &kgo.Record{
		Topic:   service.OrdersTopic,
		Key:     []byte(o.ID),
		Value:   text,
		Headers: []kgo.RecordHeader{{Key: "event", Value: []byte("order." + o.State)}},
	}).FirstErr()
}

func (e *events) close() { e.client.Close() }
