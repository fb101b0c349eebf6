package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"trigon.dev/examples/shop/internal/service"
)

// client calls the payments service in the caller's context. It adds no header of its own.
type client struct {
	base string
	http *http.Client
}

func newClient(base string) *client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 64
	return &client{base: base, http: &http.Client{Transport: transport, Timeout: 5 * time.Second}}
}

// call returns the status of the answer and decodes its body into out.
func (c *client) call(ctx context.Context, method, path string, in, out any) (int, error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return 0, err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return 0, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxBody)).Decode(out); err != nil {
		return resp.StatusCode, fmt.Errorf("payments answered %d and no JSON: %w", resp.StatusCode, err)
	}
	// Read to the end, so that the connection can be used again.
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

type answer struct {
	ID    string `json:"id"`
	State string `json:"state"`
	Error string `json:"error"`
}

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
	var a answer
	status, err := s.payments.call(r.Context(), http.MethodPost, "/payments",
		map[string]any{"order": o.ID, "amount_cents": lookUp(o.Product).PriceCents}, &a)
	switch {
	case err != nil:
		service.Fail(w, http.StatusBadGateway, "payments: "+err.Error())
	case status == http.StatusCreated:
		service.Reply(w, http.StatusCreated, map[string]string{"id": o.ID, "payment": a.ID})
	case status == http.StatusPaymentRequired:
		service.Fail(w, http.StatusPaymentRequired, a.Error)
	default:
		service.Fail(w, http.StatusBadGateway, "payments: "+a.Error)
	}
}

func (s *shop) showOrder(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	var a answer
	status, err := s.payments.call(r.Context(), http.MethodGet, "/payments/"+url.PathEscape("pay-"+id), nil, &a)
	switch {
	case err != nil:
		service.Fail(w, http.StatusBadGateway, "payments: "+err.Error())
	case status == http.StatusNotFound:
		service.Fail(w, http.StatusNotFound, "no such order")
	case status != http.StatusOK:
		service.Fail(w, http.StatusBadGateway, "payments: "+a.Error)
	default:
		service.Reply(w, http.StatusOK, map[string]string{"id": id, "state": a.State})
	}
}

func (s *shop) cancel(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	var a answer
	path := "/payments/" + url.PathEscape("pay-"+id) + "/refund"
	status, err := s.payments.call(r.Context(), http.MethodPost, path, nil, &a)
	if err != nil || status != http.StatusAccepted {
		service.Fail(w, http.StatusBadGateway, "payments did not refund")
		return
	}
	service.Reply(w, http.StatusAccepted, map[string]string{"id": id, "state": a.State})
}
