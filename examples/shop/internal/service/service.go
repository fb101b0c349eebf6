// Package service is what the shop's services share: listening, answering in JSON and stopping in order. Nothing in it
// knows about telemetry; that is the point of the example.
package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// ShutdownTime bounds the wait for requests in flight at SIGTERM.
const ShutdownTime = 10 * time.Second

// Env returns an environment variable, or otherwise what to use without it.
func Env(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// Signals is a context that ends at SIGTERM or SIGINT.
func Signals() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
}

// Run serves handler until SIGTERM or SIGINT and then lets requests in flight finish. It prints `listening ADDR`.
func Run(address string, handler http.Handler) error {
	ctx, stop := Signals()
	defer stop()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(listener) }()
	fmt.Printf("listening %s\n", listener.Addr())
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.Background(), ShutdownTime)
	defer cancel()
	if err := srv.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return srv.Close()
}

// Reply answers with v in JSON.
func Reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The status is sent; a client that is gone is all that can go wrong now.
	_ = json.NewEncoder(w).Encode(v)
}

// Fail answers with an error in JSON.
func Fail(w http.ResponseWriter, status int, text string) {
	Reply(w, status, map[string]string{"error": text})
}

// Work stands for what a real service would do for so long, and ends early when the caller is gone.
func Work(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Dice is a number from 0 to n-1 that depends on the text alone, so that the same request always fares the same.
func Dice(text string, n uint32) uint32 {
	h := fnv.New32a()
	h.Write([]byte(text))
	// FNV's low bits are weak for short texts.
	v := h.Sum32()
	v ^= v >> 15
	v *= 0x2c1b3c6d
	v ^= v >> 13
	return v % n
}
