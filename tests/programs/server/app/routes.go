package app

import (
	"net/http"
	"os"
	"strconv"
	"strings"
)

// ManyRoutes is how many routes there are below /many/.
const ManyRoutes = 700

// New returns the server's handler and the truth about what goes through it.
func New() (http.Handler, *Truth) {
	truth := &Truth{rows: map[Key]*tally{}}
	a := &routes{}
	a.remux()
	main := http.NewServeMux()
	// Literal patterns: their strings lie in the executable's read-only data.
	handle(main, "GET /hello", hello)
	handle(main, "GET /items/{id}", items)
	handle(main, "PUT /items/{id}", items)
	handle(main, "POST /items", items)
	handle(main, "/status/{code}", status)
	handle(main, "/slow", slow)
	handle(main, "/panic", panics)
	handle(main, "/abort", aborts)
	handle(main, "/hijack", hijack)
	handle(main, "POST /echo", echo)
	handle(main, "/grow", grow)
	handle(main, "GET /bytes/{n}", bytesN)
	handle(main, "GET /trace", trace)
	handle(main, "POST /remux", a.serveRemux)
	handle(main, "GET /rewrite/{id}", rewrite)
	// Patterns put together at run time: their strings lie on the heap.
	for _, name := range []string{"a", "b", "c"} {
		base := onHeap("/heap/", name, "/{id}")
		handle(main, "GET "+base, items)
		handle(main, "POST "+base, items)
	}
	// More routes than one reading of a kernel map brings.
	for n := 0; n < ManyRoutes; n++ {
		handle(main, "GET "+onHeap("/many/", strconv.Itoa(n), "/{id}"), items)
	}
	// A path without its last slash is redirected.
	handle(main, onHeap("/dir/", "{name}", "/"), hello)
	copied := http.NewServeMux()
	handle(copied, "GET /copied/{id}", copiedItems)
	handle(copied, "GET /copied/status/{code}", status)
	dispatch := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/copied/"):
			copied.ServeHTTP(w, passedOn(w, r))
		case strings.HasPrefix(r.URL.Path, "/re/"):
			a.current.Load().mux.ServeHTTP(w, r)
		default:
			main.ServeHTTP(w, r)
		}
	})
	// Not counted here, since counting holds the request until its end.
	collecting := http.NewServeMux()
	handle(collecting, "GET /collect/{id}", collect)
	counted := truth.count(dispatch)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/collect/") {
			collecting.ServeHTTP(w, r)
			return
		}
		counted.ServeHTTP(w, r)
	}), truth
}

type ctxKey struct{}

// handle registers h under a pattern of Go 1.22, or, where the mux has no patterns, under what comes closest.
func handle(mux *http.ServeMux, pattern string, h http.HandlerFunc) {
	method, path := "", pattern
	if i := strings.IndexByte(pattern, ' '); i >= 0 {
		method, path = pattern[:i], pattern[i+1:]
	}
	if Patterns {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			note(w, path)
			h(w, r)
		})
		return
	}
	if i := strings.IndexByte(path, '{'); i >= 0 {
		path = path[:i]
	}
	plain(mux, method, path, h)
}

// plain adds h for one method to a path of an old mux, which knows paths only and takes each of them once.
func plain(mux *http.ServeMux, method, path string, h http.HandlerFunc) {
	if _, known := mux.Handler(&http.Request{Method: http.MethodGet, URL: mustURL(path), Host: "probe"}); known == path {
		return
	}
	mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		note(w, path)
		if !allowed(method, path, r.Method) {
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		h(w, r)
	})
}

// allowed repeats for the old mux what the patterns of New say about methods.
func allowed(registered, path, method string) bool {
	if registered == "" || method == registered || method == http.MethodHead && registered == http.MethodGet {
		return true
	}
	return strings.HasPrefix(path, "/heap/") && method == http.MethodPost ||
		path == "/items/" && method == http.MethodPut
}

// note tells the counting handler which route was taken.
func note(w http.ResponseWriter, route string) {
	if rec, ok := w.(*recorder); ok {
		rec.route = route
	}
}

// onHeap joins at run time; the environment keeps the compiler from knowing the result.
func onHeap(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(p)
	}
	b.WriteString(os.Getenv("TRIGON_TEST_ROUTE_SUFFIX"))
	return b.String()
}
