//go:build !http && !rpcserver && !rpcclient

package main

import (
	"net/http"

	"google.golang.org/grpc"
)

// No operation has spans of its own.
func transport() http.RoundTripper { return http.DefaultTransport }

func serverOptions() []grpc.ServerOption { return nil }

func clientOptions() []grpc.DialOption { return nil }
