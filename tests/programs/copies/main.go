// Copies is hello behind middleware that hands its ServeMux a copy of each request: what the third hit costs.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
)

type key struct{}

func main() {
	body := []byte("hello\n")
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { w.Write(body) })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, "copies:", err)
		os.Exit(1)
	}
	fmt.Printf("listening %s\npid %d\n", listener.Addr(), os.Getpid())
	err = http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, 1)))
	}))
	fmt.Fprintln(os.Stderr, "copies:", err)
	os.Exit(1)
}
