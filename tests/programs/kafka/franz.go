package main

import (
	"context"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func franz(broker string) map[string]handler {
	client := func(options ...kgo.Opt) *kgo.Client {
		options = append(options, kgo.SeedBrokers(broker), kgo.RecordPartitioner(kgo.ManualPartitioner()),
			kgo.UnknownTopicRetries(0), kgo.RecordRetries(10))
		client, err := kgo.NewClient(options...)
		if err != nil {
			panic(err)
		}
		return client
	}
	producer, small := client(), client(kgo.ProducerBatchMaxBytes(512))
	record := func(topic string) *kgo.Record { return &kgo.Record{Topic: topic, Value: []byte("value")} }
	consumer := func() *kgo.Client {
		return client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"orders": {0: kgo.NewOffset().AtStart()}}))
	}
	return map[string]handler{
		// One record, with a header.
		"/sent": func(ctx context.Context, _ int) error {
			one := record("orders")
			one.Headers = []kgo.RecordHeader{
				{Key: "other", Value: []byte("00-")},
				{Key: "traceparent", Value: []byte(parent())},
			}
			return producer.ProduceSync(ctx, one).FirstErr()
		},
		// Three records to a topic whose name was put together.
		"/batch": func(ctx context.Context, _ int) error {
			topic := strings.ToLower("PARTS")
			return producer.ProduceSync(ctx, record(topic), record(topic), record(topic)).FirstErr()
		},
		// A record that is too large.
		"/refused": func(ctx context.Context, _ int) error {
			large := record("orders")
			large.Value = make([]byte, 4096)
			return wanted(small.ProduceSync(ctx, large).FirstErr())
		},
		// A topic that no broker takes.
		"/junk": func(ctx context.Context, _ int) error {
			return wanted(soon(ctx, func(ctx context.Context) error {
				return producer.ProduceSync(ctx, record("\xff\x00 junk\n")).FirstErr()
			}))
		},
		// A record that nobody waits for.
		"/later": func(ctx context.Context, _ int) error {
			producer.Produce(context.WithoutCancel(ctx), record("later"), nil)
			return nil
		},
		// All records of a topic, one at a time, and a poll that gets none.
		"/received": func(ctx context.Context, n int) error {
			consumer := consumer()
			defer consumer.Close()
			for ; n > 0; n-- {
				if err := consumer.PollRecords(ctx, 1).Err(); err != nil {
					return err
				}
			}
			ctx, cancel := context.WithTimeout(ctx, time.Millisecond)
			defer cancel()
			return wanted(consumer.PollRecords(ctx, 1).Err())
		},
		// All records of a topic, as many as there are at a time.
		"/polled": func(ctx context.Context, n int) error {
			consumer := consumer()
			defer consumer.Close()
			for n > 0 {
				fetches := consumer.PollFetches(ctx)
				if err := fetches.Err(); err != nil {
					return err
				}
				n -= fetches.NumRecords()
			}
			return nil
		},
	}
}
