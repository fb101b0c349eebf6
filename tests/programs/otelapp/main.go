// Otelapp is a server that already makes and exports its spans with the OpenTelemetry Go SDK, over OTLP/HTTP to
// OTEL_EXPORTER_OTLP_ENDPOINT. Its flags take parts of that away, since what is linked need not be in use.
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

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on; port 0 takes a free one")
	sdk := flag.Bool("sdk", true, "set up the SDK with an OTLP exporter; without it otelhttp's spans go nowhere")
	instrument := flag.Bool("instrument", true, "wrap the handlers by otelhttp")
	to := flag.String("to", "", "HOST:PORT of a server that /leaf/ and /plain/ call, with otelhttp's transport and without")
	flag.Parse()
	if err := run(*listen, *to, *sdk, *instrument); err != nil {
		fmt.Fprintln(os.Stderr, "otelapp:", err)
		os.Exit(1)
	}
}

func run(address, to string, sdk, instrument bool) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	otel.SetTextMapPropagator(propagation.TraceContext{})
	flush := func(context.Context) error { return nil }
	if sdk {
		exporter, err := otlptracehttp.New(ctx)
		if err != nil {
			return err
		}
		provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter, sdktrace.WithBatchTimeout(200*time.Millisecond)))
		otel.SetTracerProvider(provider)
		flush = provider.Shutdown
	}
	var served atomic.Uint64
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, _ *http.Request) {
		served.Add(1)
		fmt.Fprintln(w, "hello")
	})
	mux.HandleFunc("GET /items/{id}", func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		fmt.Fprintln(w, "item", r.PathValue("id"))
	})
	mux.HandleFunc("GET /fail", func(w http.ResponseWriter, _ *http.Request) {
		served.Add(1)
		http.Error(w, "failed", http.StatusInternalServerError)
	})
	mux.Handle("GET /leaf/", forward(otelhttp.NewTransport(http.DefaultTransport), "http://"+to))
	mux.Handle("GET /plain/", forward(http.DefaultTransport, "http://"+to+"/leaf"))
	var handler http.Handler = mux
	if instrument {
		handler = otelhttp.NewHandler(mux, "server")
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: handler}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(listener) }()
	fmt.Printf("listening %s\npid %d\n", listener.Addr(), os.Getpid())
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err = errors.Join(srv.Shutdown(ctx), flush(ctx))
	fmt.Printf("truth {\"total\":%d}\n", served.Load())
	return err
}
