//go:build http

package main

import (
	"net/http"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"google.golang.org/grpc"
)

// Only calls of the HTTP client have spans.
func transport() http.RoundTripper { return otelhttp.NewTransport(http.DefaultTransport) }

func serverOptions() []grpc.ServerOption { return nil }

func clientOptions() []grpc.DialOption { return nil }
