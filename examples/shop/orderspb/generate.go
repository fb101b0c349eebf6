// Package orderspb is the interface of the orders service, generated from orders.proto. It is committed, so that a build
// needs no protoc.
package orderspb

// protoc is Debian's protobuf-compiler; the two plugins are
//
//	go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.6
//	go install google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.5.1
//
//go:generate protoc --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative orders.proto
