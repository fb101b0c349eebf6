//go:build rpcclient

package main

import (
	"net/http"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"google.golang.org/grpc"
)

// Calls of RPCs have spans. Otelhttp is linked with its own client, and not used for these calls.
func transport() http.RoundTripper {
	_ = otelhttp.DefaultClient
	return http.DefaultTransport
}

func serverOptions() []grpc.ServerOption { return nil }

func clientOptions() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithStatsHandler(otelgrpc.NewClientHandler())}
}
