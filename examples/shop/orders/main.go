// Orders is the shop's third service: it keeps orders in an SQL database, caches them in Redis, and tells Kafka of each
// change. It is called over gRPC.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"

	"trigon.dev/examples/shop/internal/service"
	"trigon.dev/examples/shop/orderspb"
)

func main() {
	listen := flag.String("listen", service.Env("ORDERS_LISTEN", "127.0.0.1:8082"), "address to listen on")
	database := flag.String("database", service.Env("ORDERS_DATABASE", "sqlite:"),
		"sqlite:FILE (without FILE a temporary one) or postgres://USER@HOST/NAME")
	redis := flag.String("redis", service.Env("ORDERS_REDIS", "127.0.0.1:8084"), "address of Redis")
	kafka := flag.String("kafka", service.Env("ORDERS_KAFKA", "127.0.0.1:8085"), "address of a Kafka broker")
	flag.Parse()
	if err := run(*listen, *database, *redis, *kafka); err != nil {
		fmt.Fprintln(os.Stderr, "orders:", err)
		os.Exit(1)
	}
}

func run(listen, database, redis, kafka string) error {
	ctx, stop := service.Signals()
	defer stop()
	starting, cancel := context.WithTimeout(ctx, service.StartTime)
	defer cancel()
	store, err := openStore(starting, database)
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	defer store.close()
	cache, err := openCache(starting, redis)
	if err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	defer cache.close()
	events, err := openEvents(starting, kafka)
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	defer events.close()
	return serve(ctx, listen, &server{store: store, cache: cache, events: events})
}

// serve answers until ctx ends and then lets calls in flight finish. It prints `listening ADDR`.
func serve(ctx context.Context, address string, s *server) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	srv := grpc.NewServer()
	orderspb.RegisterOrdersServer(srv, s)
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(listener) }()
	fmt.Printf("listening %s\n", listener.Addr())
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	// Stop breaks off what GracefulStop still waits for.
	timer := time.AfterFunc(service.ShutdownTime, srv.Stop)
	defer timer.Stop()
	srv.GracefulStop()
	if err := <-failed; !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil
}
