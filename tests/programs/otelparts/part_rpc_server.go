//go:build rpcserver

package main

import (
	"net/http"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"google.golang.org/grpc"
)

// Only RPCs that are served have spans.
func transport() http.RoundTripper { return http.DefaultTransport }

func serverOptions() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.StatsHandler(otelgrpc.NewServerHandler())}
}

func clientOptions() []grpc.DialOption { return nil }
