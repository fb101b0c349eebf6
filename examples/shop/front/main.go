// Front is the shop's first service: a small catalogue, carts, and orders that it has paid by the payments service.
package main

import (
	"flag"
	"fmt"
	"net/http"
	"os"

	"trigon.dev/examples/shop/internal/service"
)

func main() {
	listen := flag.String("listen", service.Env("FRONT_LISTEN", "127.0.0.1:8080"), "address to listen on")
	payments := flag.String("payments", service.Env("PAYMENTS_URL", "http://127.0.0.1:8081"), "the payments service")
	flag.Parse()
	s := newShop(*payments)
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
	if err := service.Run(*listen, mux); err != nil {
		fmt.Fprintln(os.Stderr, "front:", err)
		os.Exit(1)
	}
}
