package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"trigon.dev/examples/shop/internal/service"
	"trigon.dev/examples/shop/orderspb"
)

// callTime bounds the calls that one request makes.
const callTime = 5 * time.Second

// order is paid first and kept then, so that what is kept is always paid.
func (s *shop) order(w http.ResponseWriter, r *http.Request) {
	var o struct {
		ID      string `json:"id"`
		Product int    `json:"product"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&o); err != nil {
		service.Fail(w, http.StatusBadRequest, "not an order: "+err.Error())
		return
	}
	if o.ID == "" || o.Product < 1 || o.Product > catalogue {
		service.Fail(w, http.StatusUnprocessableEntity, "id and a product are needed")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), callTime)
	defer cancel()
	price := lookUp(o.Product).PriceCents
	var a answer
	code, err := s.payments.call(ctx, http.MethodPost, "/payments",
		map[string]any{"order": o.ID, "amount_cents": price}, &a)
	switch {
	case err != nil:
		service.Fail(w, http.StatusBadGateway, "payments: "+err.Error())
		return
	case code == http.StatusPaymentRequired:
		service.Fail(w, http.StatusPaymentRequired, a.Error)
		return
	case code != http.StatusCreated:
		service.Fail(w, http.StatusBadGateway, "payments: "+a.Error)
		return
	}
	request := &orderspb.PlaceRequest{Id: o.ID, Product: int32(o.Product), AmountCents: price}
	if _, err := s.orders.Place(ctx, request); err != nil {
		failOrders(w, err)
		return
	}
	service.Reply(w, http.StatusCreated, map[string]string{"id": o.ID, "payment": a.ID})
}

// showOrder asks for the order and its payment at the same time.
func (s *shop) showOrder(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	ctx, cancel := context.WithTimeout(r.Context(), callTime)
	defer cancel()
	var (
		both     sync.WaitGroup
		a        answer
		code     int
		payError error
	)
	both.Add(1)
	go func() {
		defer both.Done()
		code, payError = s.payments.call(ctx, http.MethodGet, "/payments/"+url.PathEscape("pay-"+id), nil, &a)
	}()
	o, err := s.orders.Get(ctx, &orderspb.GetRequest{Id: id})
	both.Wait()
	switch {
	case err != nil:
		failOrders(w, err)
	case payError != nil:
		service.Fail(w, http.StatusBadGateway, "payments: "+payError.Error())
	case code == http.StatusNotFound:
		service.Fail(w, http.StatusNotFound, "no such order")
	case code != http.StatusOK:
		service.Fail(w, http.StatusBadGateway, "payments: "+a.Error)
	default:
		service.Reply(w, http.StatusOK, map[string]string{"id": id, "state": o.GetState(), "payment": a.State})
	}
}

func (s *shop) cancel(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	ctx, cancel := context.WithTimeout(r.Context(), callTime)
	defer cancel()
	if _, err := s.orders.Cancel(ctx, &orderspb.CancelRequest{Id: id}); err != nil {
		failOrders(w, err)
		return
	}
	var a answer
	path := "/payments/" + url.PathEscape("pay-"+id) + "/refund"
	code, err := s.payments.call(ctx, http.MethodPost, path, nil, &a)
	if err != nil || code != http.StatusAccepted {
		service.Fail(w, http.StatusBadGateway, "payments did not refund")
		return
	}
	service.Reply(w, http.StatusAccepted, map[string]string{"id": id, "state": a.State})
}

// failOrders answers for a call of the orders service that failed.
func failOrders(w http.ResponseWriter, err error) {
	if status.Code(err) == codes.NotFound {
		service.Fail(w, http.StatusNotFound, "no such order")
		return
	}
	service.Fail(w, http.StatusBadGateway, "orders: "+status.Convert(err).Message())
}
