package main

import (
	"context"
	"strings"

	"github.com/IBM/sarama"
)

func saramas(broker string) map[string]handler {
	config := func() *sarama.Config {
		config := sarama.NewConfig()
		config.Version = sarama.V2_8_0_0
		config.Metadata.Retry.Max = 0
		config.Producer.Retry.Max = 0
		config.Producer.MaxMessageBytes = 2048
		config.Producer.Return.Successes = true
		config.Producer.Return.Errors = true
		return config
	}
	producer, err := sarama.NewSyncProducer([]string{broker}, config())
	if err != nil {
		panic(err)
	}
	silent := config()
	silent.Producer.Return.Successes = false
	async, err := sarama.NewAsyncProducer([]string{broker}, silent)
	if err != nil {
		panic(err)
	}
	go func() {
		for range async.Errors() {
		}
	}()
	message := func(topic, value string) *sarama.ProducerMessage {
		return &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(value)}
	}
	send := func(message *sarama.ProducerMessage) error {
		_, _, err := producer.SendMessage(message)
		return err
	}
	return map[string]handler{
		// One message, with a header.
		"/sent": func(context.Context, int) error {
			one := message("orders", "value")
			one.Headers = []sarama.RecordHeader{
				{Key: []byte("other"), Value: []byte("00-")},
				{Key: []byte("traceparent"), Value: []byte(parent())},
			}
			return send(one)
		},
		// Three messages at once, to a topic whose name was put together.
		"/batch": func(context.Context, int) error {
			topic := strings.ToLower("PARTS")
			return producer.SendMessages([]*sarama.ProducerMessage{
				message(topic, "a"), message(topic, "b"), message(topic, "c"),
			})
		},
		// A message that is too large.
		"/refused": func(context.Context, int) error {
			return wanted(send(message("orders", strings.Repeat("x", 4096))))
		},
		// A topic that no broker takes.
		"/junk": func(context.Context, int) error {
			return wanted(send(message("\xff\x00 junk\n", "value")))
		},
		// A message that nobody waits for.
		"/later": func(context.Context, int) error {
			async.Input() <- message("later", "value")
			return nil
		},
		// All messages of a topic.
		"/received": func(_ context.Context, n int) error {
			consumer, err := sarama.NewConsumer([]string{broker}, config())
			if err != nil {
				return err
			}
			defer consumer.Close()
			orders, err := consumer.ConsumePartition("orders", 0, sarama.OffsetOldest)
			if err != nil {
				return err
			}
			defer orders.Close()
			for ; n > 0; n-- {
				<-orders.Messages()
			}
			return nil
		},
	}
}
