package main

import (
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/gorilla/mux"
)

func recovers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if through(r) {
				return
			}
			if recover() != nil {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

func copies(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(w, copied(r)) })
}

// refuses answers without asking any router.
func refuses(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refused" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func chiRouter() http.Handler {
	r := chi.NewRouter()
	r.Use(recovers, copies, refuses)
	r.Get("/", ok)
	r.Get("/health", ok)
	r.Get("/users/{id}", ok)
	r.Post("/users/{id}", created)
	r.Get("/files/*", ok)
	r.Route("/api", func(r chi.Router) {
		r.Use(copies)
		r.Route("/v1", func(r chi.Router) { r.Get("/items/{item}/parts/{part}", ok) })
	})
	r.Get("/panic/{id}", panics)
	r.Get("/through/{id}", panics)
	r.Get("/refused", ok)
	r.Get("/slash/", ok)
	r.Route("/admin", func(r chi.Router) { r.Get("/", ok) })
	r.Mount("/served", http.HandlerFunc(ok))
	deep(r, "/deep", 7)
	deep(r, "/deeper", 8)
	return r
}

// deep has a route below so many routers that are mounted at "/l".
func deep(r chi.Router, at string, levels int) {
	r.Route(at, func(r chi.Router) {
		if levels == 1 {
			r.Get("/end/{id}", ok)
		} else {
			deep(r, "/l", levels-1)
		}
	})
}

func gorillaRouter() http.Handler {
	r := mux.NewRouter()
	r.Use(recovers, copies)
	r.HandleFunc("/health", ok)
	r.HandleFunc("/users/{id}", ok).Methods("GET")
	r.HandleFunc("/users/{id}", created).Methods("POST")
	r.HandleFunc("/files/{path:.*}", ok)
	v1 := r.PathPrefix("/api").Subrouter().PathPrefix("/v1").Subrouter()
	v1.Use(copies)
	v1.HandleFunc("/items/{item}/parts/{part}", ok)
	r.HandleFunc("/panic/{id}", panics)
	r.HandleFunc("/through/{id}", panics)
	r.Headers("X-Kind", "none").HandlerFunc(ok)
	within := mux.NewRouter()
	within.HandleFunc("/within/{id}", ok)
	r.PathPrefix("/within/").Handler(within)
	told := mux.NewRouter()
	told.NotFoundHandler = http.HandlerFunc(http.NotFound)
	r.PathPrefix("/told/").Handler(told)
	return r
}
