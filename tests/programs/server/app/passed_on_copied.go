//go:build copies

package app

import (
	"context"
	"net/http"
)

// passedOn is a copy, as the usual middleware makes one: what the mux finds is written into the copy and never seen by the
// server's request.
func passedOn(w http.ResponseWriter, r *http.Request) *http.Request {
	if rec, ok := w.(*recorder); ok {
		rec.copied = true
	}
	return r.WithContext(context.WithValue(r.Context(), ctxKey{}, "copied"))
}
