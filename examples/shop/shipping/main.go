// Shipping is the shop's fourth service: it hears of orders from Kafka, and answers what became of them over HTTP.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"

	"trigon.dev/examples/shop/internal/service"
)

func main() {
	listen := flag.String("listen", service.Env("SHIPPING_LISTEN", "127.0.0.1:8083"), "address to listen on")
	kafka := flag.String("kafka", service.Env("SHIPPING_KAFKA", "127.0.0.1:8085"), "address of a Kafka broker")
	flag.Parse()
	if err := run(*listen, *kafka); err != nil {
		fmt.Fprintln(os.Stderr, "shipping:", err)
		os.Exit(1)
	}
}

func run(listen, kafka string) error {
	signals, release := service.Signals()
	defer release()
	starting, cancel := context.WithTimeout(signals, service.StartTime)
	defer cancel()
	c, err := openConsumer(starting, kafka)
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	w := newWarehouse()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.consume(ctx, w.handle)
	}()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /shipments/{order}", w.show)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	err = service.Run(listen, mux)
	stop()
	<-done
	c.close()
	return err
}
