// Payments is the shop's second service: it declines some payments, fails at some and is slow with some.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"time"

	"trigon.dev/examples/shop/internal/service"
)

// One in so many payments, by order or id.
const (
	declined = 12
	broken   = 60
	slow     = 40
)

// slowTime is longer than what Trigon calls slow by default (500 ms).
const slowTime = 620 * time.Millisecond

// maxBody bounds what is read of a request.
const maxBody = 64 << 10

type payment struct {
	Order       string `json:"order"`
	AmountCents int64  `json:"amount_cents"`
}

func main() {
	listen := flag.String("listen", service.Env("PAYMENTS_LISTEN", "127.0.0.1:8081"), "address to listen on")
	flag.Parse()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /payments", pay)
	mux.HandleFunc("GET /payments/{id}", show)
	mux.HandleFunc("POST /payments/{id}/refund", refund)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	if err := service.Run(*listen, mux); err != nil {
		fmt.Fprintln(os.Stderr, "payments:", err)
		os.Exit(1)
	}
}

func pay(w http.ResponseWriter, r *http.Request) {
	var p payment
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&p); err != nil {
		service.Fail(w, http.StatusBadRequest, "not a payment: "+err.Error())
		return
	}
	if p.Order == "" || p.AmountCents <= 0 {
		service.Fail(w, http.StatusUnprocessableEntity, "order and amount_cents are needed")
		return
	}
	switch {
	case service.Dice("broken"+p.Order, broken) == 0:
		service.Fail(w, http.StatusInternalServerError, "ledger is read-only")
		return
	case service.Dice("declined"+p.Order, declined) == 0:
		service.Fail(w, http.StatusPaymentRequired, "declined")
		return
	case service.Dice("slow"+p.Order, slow) == 0:
		service.Work(r.Context(), slowTime)
	default:
		service.Work(r.Context(), 2*time.Millisecond+time.Duration(service.Dice(p.Order, 3000))*time.Microsecond)
	}
	service.Reply(w, http.StatusCreated, map[string]string{"id": "pay-" + p.Order, "state": "settled"})
}

func show(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if service.Dice("lost"+id, 25) == 0 {
		service.Fail(w, http.StatusNotFound, "no such payment")
		return
	}
	service.Work(r.Context(), time.Duration(service.Dice(id, 1500))*time.Microsecond)
	service.Reply(w, http.StatusOK, map[string]string{"id": id, "state": "settled"})
}

func refund(w http.ResponseWriter, r *http.Request) {
	service.Work(r.Context(), 3*time.Millisecond)
	service.Reply(w, http.StatusAccepted, map[string]string{"id": r.PathValue("id"), "state": "refunding"})
}
