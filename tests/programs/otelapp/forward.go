package main

import (
	"io"
	"net/http"
)

// forward answers PATH when PATH/below of another server has been answered, which is called with the request's context.
func forward(transport http.RoundTripper, to string) http.HandlerFunc {
	client := &http.Client{Transport: transport}
	return func(w http.ResponseWriter, r *http.Request) {
		call, err := http.NewRequestWithContext(r.Context(), http.MethodGet, to+r.URL.Path+"/below", nil)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answer, err := client.Do(call)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		w.WriteHeader(answer.StatusCode)
		_, _ = io.Copy(w, answer.Body)
	}
}
