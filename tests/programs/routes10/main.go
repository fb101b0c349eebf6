// Routes10 is the benchmark's server with ten routes, each with a little JSON to encode. GOMAXPROCS comes from the
// environment.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// patterns are the ten routes; mix.json sends to all of them.
var patterns = []string{
	"GET /users",
	"POST /users",
	"GET /users/{id}",
	"DELETE /users/{id}",
	"GET /users/{id}/orders",
	"GET /users/{id}/orders/{order}",
	"POST /users/{id}/orders",
	"GET /products/{id}",
	"GET /search",
	"GET /healthz",
}

type answer struct {
	Path  string    `json:"path"`
	Items []item    `json:"items"`
	Time  time.Time `json:"time"`
}

type item struct {
	ID    int    `json:"id"`
	Name  string `json:"name"`
	Price int    `json:"price_cents"`
}

var stock = []item{{1, "anvil", 4999}, {2, "rocket skates", 12950}, {3, "tunnel paint", 899}}

func serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch r.Method {
	case http.MethodPost:
		w.WriteHeader(http.StatusCreated)
	case http.MethodDelete:
		w.WriteHeader(http.StatusNoContent)
		return
	}
	json.NewEncoder(w).Encode(answer{Path: r.URL.Path, Items: stock, Time: time.Now()})
}

// register adds the routes; a mux from before Go 1.22 knows neither methods nor wildcards.
func register(mux *http.ServeMux) {
	plain := map[string]bool{}
	for _, pattern := range patterns {
		if hasPatterns {
			mux.HandleFunc(pattern, serve)
			continue
		}
		_, path, _ := strings.Cut(pattern, " ")
		path, _, _ = strings.Cut(path, "{")
		if !plain[path] {
			mux.HandleFunc(path, serve)
		}
		plain[path] = true
	}
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on; port 0 takes a free one")
	flag.Parse()
	mux := http.NewServeMux()
	register(mux)
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		fmt.Fprintln(os.Stderr, "routes10:", err)
		os.Exit(1)
	}
	fmt.Printf("listening %s\npid %d\n", listener.Addr(), os.Getpid())
	srv := &http.Server{Handler: mux}
	done := make(chan struct{})
	go func() {
		defer close(done)
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
		<-signals
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		srv.Shutdown(ctx)
	}()
	if err := srv.Serve(listener); err != http.ErrServerClosed {
		fmt.Fprintln(os.Stderr, "routes10:", err)
		os.Exit(1)
	}
	<-done
}
