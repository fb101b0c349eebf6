package main

import (
	"context"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// rpc is a server and its client, in one process.
type rpc struct {
	client grpc_health_v1.HealthClient
}

func newRPC() (*rpc, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := grpc.NewServer(serverOptions()...)
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	go server.Serve(listener)
	options := append(clientOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	conn, err := grpc.NewClient("passthrough:///"+listener.Addr().String(), options...)
	if err != nil {
		return nil, err
	}
	return &rpc{client: grpc_health_v1.NewHealthClient(conn)}, nil
}

func (r *rpc) check(ctx context.Context) error {
	_, err := r.client.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	return err
}
