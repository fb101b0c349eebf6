// Stores stands in for Redis and Kafka where there are none: small servers in Go that speak the real protocols over
// real sockets and keep all in memory. Nothing of the shop knows the difference.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/twmb/franz-go/pkg/kfake"

	"trigon.dev/examples/shop/internal/service"
)

func main() {
	redis := flag.String("redis", service.Env("STORES_REDIS", "127.0.0.1:8084"), "address for Redis")
	kafka := flag.Int("kafka-port", 8085, "port on 127.0.0.1 for Kafka; 0 is a free one")
	flag.Parse()
	if err := run(*redis, *kafka); err != nil {
		fmt.Fprintln(os.Stderr, "stores:", err)
		os.Exit(1)
	}
}

// run serves until SIGTERM or SIGINT. It prints `redis ADDR` and `kafka ADDR`.
func run(redisAddress string, kafkaPort int) error {
	ctx, stop := service.Signals()
	defer stop()
	redis := miniredis.NewMiniRedis()
	if err := redis.StartAddr(redisAddress); err != nil {
		return err
	}
	defer redis.Close()
	kafka, err := kfake.NewCluster(kfake.Ports(kafkaPort), kfake.SeedTopics(3, service.OrdersTopic))
	if err != nil {
		return err
	}
	defer kafka.Close()
	address := kafka.ListenAddrs()[0]
	t, err := newTrimmer(address)
	if err != nil {
		return err
	}
	defer t.close()
	fmt.Printf("redis %s\nkafka %s\n", redis.Addr(), address)
	var background sync.WaitGroup
	background.Add(2)
	go func() {
		defer background.Done()
		age(ctx, redis)
	}()
	go func() {
		defer background.Done()
		t.run(ctx)
	}()
	<-ctx.Done()
	background.Wait()
	return nil
}

// age lets time pass in miniredis, which by itself never expires a key.
func age(ctx context.Context, redis *miniredis.Miniredis) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			redis.FastForward(time.Second)
		}
	}
}
