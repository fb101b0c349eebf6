package main

import "net/http"

// muxRouter is a ServeMux that gets copies of requests, with others below it: behind a copy more, behind StripPrefix, also twice,
// behind one that takes something else away, and behind a Clone.
func muxRouter() http.Handler {
	within := http.NewServeMux()
	within.HandleFunc("/within/{id}", ok)
	v1 := http.NewServeMux()
	v1.HandleFunc("GET /items/{item}/parts/{part}", ok)
	api := http.NewServeMux()
	api.Handle("/v1/", http.StripPrefix("/v1", v1))
	api.HandleFunc("GET /plain/{id}", ok)
	taken := http.NewServeMux()
	taken.HandleFunc("/{id}", ok)
	cloned := http.NewServeMux()
	cloned.HandleFunc("/cloned/{id}", ok)

	mux := http.NewServeMux()
	mux.HandleFunc("/health", ok)
	mux.HandleFunc("GET /users/{id}", ok)
	mux.HandleFunc("POST /users/{id}", created)
	mux.HandleFunc("/files/{path...}", ok)
	mux.Handle("/api/", http.StripPrefix("/api", api))
	mux.HandleFunc("/panic/{id}", panics)
	mux.HandleFunc("/through/{id}", panics)
	mux.Handle("/within/", copies(within))
	mux.Handle("/taken/away/", http.StripPrefix("/taken", http.StripPrefix("/aw", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = "/" + r.URL.Path[len("ay/"):]
		taken.ServeHTTP(w, r)
	}))))
	mux.Handle("/tenants/{tenant}/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.StripPrefix("/tenants/"+r.PathValue("tenant"), taken).ServeHTTP(w, r)
	}))
	mux.HandleFunc("/by/{tenant}/", func(w http.ResponseWriter, r *http.Request) {
		http.StripPrefix("/by/"+r.PathValue("tenant")+"/v1", taken).ServeHTTP(w, r)
	})
	mux.HandleFunc("/written/", func(w http.ResponseWriter, r *http.Request) {
		r = r.Clone(r.Context())
		// As long as it was.
		r.URL.Path = "/cloned/x" + r.URL.Path[len("/written/"):]
		cloned.ServeHTTP(w, r)
	})
	mux.HandleFunc("/cloned/", func(w http.ResponseWriter, r *http.Request) { cloned.ServeHTTP(w, r.Clone(r.Context())) })
	return copies(recovers(mux))
}
