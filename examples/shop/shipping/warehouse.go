package main

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"trigon.dev/examples/shop/internal/service"
)

// remembered bounds the shipments that are kept; the oldest go first.
const remembered = 10_000

// warehouse is what became of the latest orders.
type warehouse struct {
	mu     sync.Mutex
	states map[string]string
	oldest []string
}

func newWarehouse() *warehouse { return &warehouse{states: map[string]string{}} }

// handle packs an order that was placed and holds back one that was cancelled.
func (w *warehouse) handle(_ context.Context, r *kgo.Record) error {
	var o struct {
		ID    string `json:"id"`
		State string `json:"state"`
	}
	if err := json.Unmarshal(r.Value, &o); err != nil {
		return err
	}
	state := "packed"
	if o.State == "cancelled" {
		state = "held back"
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, known := w.states[o.ID]; !known {
		w.oldest = append(w.oldest, o.ID)
	}
	w.states[o.ID] = state
	if len(w.oldest) > remembered {
		delete(w.states, w.oldest[0])
		w.oldest = w.oldest[1:]
	}
	return nil
}

func (w *warehouse) show(rw http.ResponseWriter, r *http.Request) {
	id := r.PathValue("order")
	w.mu.Lock()
	state, known := w.states[id]
	w.mu.Unlock()
	if !known {
		service.Fail(rw, http.StatusNotFound, "nothing to ship")
		return
	}
	service.Reply(rw, http.StatusOK, map[string]string{"order": id, "state": state})
}
