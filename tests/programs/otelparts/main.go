// Otelparts exports spans of some of its operations with the OpenTelemetry Go SDK, over OTLP/HTTP to
// OTEL_EXPORTER_OTLP_ENDPOINT, and of others none. Which, a build tag says: what is linked is all that can be seen.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

func main() {
	to := flag.String("to", "", "HOST:PORT of an HTTP server that GET /http calls")
	flag.Parse()
	if err := run(*to); err != nil {
		fmt.Fprintln(os.Stderr, "otelparts:", err)
		os.Exit(1)
	}
}

func run(to string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	otel.SetTextMapPropagator(propagation.TraceContext{})
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return err
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter, sdktrace.WithBatchTimeout(200*time.Millisecond)))
	otel.SetTracerProvider(provider)

	client := &http.Client{Transport: transport()}
	rpc, err := newRPC()
	if err != nil {
		return err
	}
	var served atomic.Uint64
	mux := http.NewServeMux()
	mux.HandleFunc("/http", func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		answer(w, get(r.Context(), client, "http://"+to+"/hello"))
	})
	mux.HandleFunc("/rpc", func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		answer(w, rpc.check(r.Context()))
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: mux}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(listener) }()
	fmt.Printf("listening %s\n", listener.Addr())
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err = errors.Join(srv.Shutdown(ctx), provider.Shutdown(ctx))
	fmt.Printf("truth {\"total\":%d}\n", served.Load())
	return err
}

func get(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

func answer(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	fmt.Fprintln(w, "done")
}
