package main

import (
	"context"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
)

// unbalanced panics where a partition is chosen.
type unbalanced struct{}

func (unbalanced) Balance(kafka.Message, ...int) int { panic("no balance") }

func kafkaGo(broker string) map[string]handler {
	writer := func(topic string) *kafka.Writer {
		return &kafka.Writer{Addr: kafka.TCP(broker), Topic: topic, BatchTimeout: time.Millisecond, MaxAttempts: 1}
	}
	orders, any, async, picky, small := writer("orders"), writer(""), writer("later"), writer("orders"), writer("orders")
	async.Async = true
	picky.Balancer = unbalanced{}
	small.BatchBytes = 10
	message := func() kafka.Message {
		return kafka.Message{
			Value: []byte("value"),
			Headers: []kafka.Header{
				{Key: "other", Value: []byte("00-")},
				{Key: "traceparent", Value: []byte(parent())},
			},
		}
	}
	to := func(topic string, n int) (messages []kafka.Message) {
		for i := 0; i < n; i++ {
			messages = append(messages, kafka.Message{Topic: topic, Value: []byte("value")})
		}
		return messages
	}
	return map[string]handler{
		// One message, with a header.
		"/sent": func(ctx context.Context, _ int) error {
			return orders.WriteMessages(ctx, message())
		},
		// Three messages to a topic whose name was put together.
		"/batch": func(ctx context.Context, _ int) error {
			return any.WriteMessages(ctx, to(strings.ToLower("PARTS"), 3)...)
		},
		// Two messages to two topics.
		"/mixed": func(ctx context.Context, _ int) error {
			return any.WriteMessages(ctx, append(to("orders", 1), to("parts", 1)...)...)
		},
		// A message that is too large.
		"/refused": func(ctx context.Context, _ int) error {
			return wanted(small.WriteMessages(ctx, message()))
		},
		// A topic that no broker takes.
		"/junk": func(ctx context.Context, _ int) error {
			return wanted(soon(ctx, func(ctx context.Context) error {
				return any.WriteMessages(ctx, to("\xff\x00 junk\n", 1)...)
			}))
		},
		// The call panics.
		"/panics": func(ctx context.Context, _ int) error {
			if !panics(func() { picky.WriteMessages(ctx, message()) }) {
				return wanted(nil)
			}
			return nil
		},
		// A message that is sent some time.
		"/later": func(ctx context.Context, _ int) error {
			return async.WriteMessages(ctx, kafka.Message{Value: []byte("value")})
		},
		// All messages of a topic, and one that never comes.
		"/received": func(ctx context.Context, n int) error {
			reader := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{broker}, Topic: "orders", MaxWait: 10 * time.Millisecond})
			defer reader.Close()
			for i := 0; i < n; i++ {
				if _, err := reader.ReadMessage(ctx); err != nil {
					return err
				}
			}
			ctx, cancel := context.WithTimeout(ctx, time.Millisecond)
			defer cancel()
			_, err := reader.FetchMessage(ctx)
			return wanted(err)
		},
		// A reader that is closed.
		"/closed": func(ctx context.Context, _ int) error {
			reader := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{broker}, Topic: "orders"})
			if err := reader.Close(); err != nil {
				return err
			}
			_, err := reader.FetchMessage(ctx)
			return wanted(err)
		},
	}
}
