// Front is the shop's first service: a small catalogue, carts, and orders that it has paid by
// payments and kept by orders.
package main

import (
	"flag"
	"fmt"
	"net/http"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"trigon.dev/examples/shop/internal/service"
	"trigon.dev/examples/shop/orderspb"
)

func main() {
	listen := flag.String("listen", service.Env("FRONT_LISTEN", "127.0.0.1:8080"), "address to listen on")
	payments := flag.String("payments", service.Env("PAYMENTS_URL", "http://127.0.0.1:8081"), "the payments service")
	orders := flag.String("orders", service.Env("ORDERS_ADDRESS", "127.0.0.1:8082"), "the orders service")
	flag.Parse()
	if err := run(*listen, *payments, *orders); err != nil {
		fmt.Fprintln(os.Stderr, "front:", err)
		os.Exit(1)
	}
}

func run(listen, payments, orders string) error {
	// One connection for all calls, opened at the first, which waits for it: orders may start after front. The shop's
	// network has no TLS.
	connection, err := grpc.NewClient(orders, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	if err != nil {
		return err
	}
	defer connection.Close()
	s := &shop{payments: newClient(payments), orders: orderspb.NewOrdersClient(connection)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.home)
	mux.HandleFunc("GET /products", s.products)
	mux.HandleFunc("GET /products/{id}", s.product)
	mux.HandleFunc("GET /search", s.search)
	mux.HandleFunc("POST /cart/{user}/items", s.addToCart)
	mux.HandleFunc("GET /recommendations/{user}", s.recommend)
	mux.HandleFunc("POST /orders", s.order)
	mux.HandleFunc("GET /orders/{id}", s.showOrder)
	mux.HandleFunc("POST /orders/{id}/cancel", s.cancel)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	return service.Run(listen, mux)
}
