package app

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Bounds of what a request may ask for.
const (
	maxBytes = 64 << 20
	maxSlow  = time.Minute
	maxDepth = 200_000 // frames of grow; 1 KiB each stays far below the runtime's limit of 1 GB
	maxEcho  = 16 << 20
)

func mustURL(path string) *url.URL { return &url.URL{Path: path} }

// last is the last segment of the request's path: a wildcard's value with every mux.
func last(r *http.Request) string { return r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:] }

func hello(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello\n") }

func items(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodPost:
		n, _ := io.Copy(io.Discard, io.LimitReader(r.Body, maxEcho))
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, "created %d\n", n)
	case http.MethodPut:
		w.WriteHeader(http.StatusNoContent)
	default:
		if last(r) == "0" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprintf(w, "item %s\n", last(r))
	}
}

// rewrite does to the request what middleware does in place.
func rewrite(w http.ResponseWriter, r *http.Request) {
	r.URL.Path, r.RequestURI = "/elsewhere", "/elsewhere"
	r.Host = "elsewhere.example"
	r.RemoteAddr = "9.9.9.9:9"
	r.Method = http.MethodDelete
	io.WriteString(w, "rewritten\n")
}

// collected keeps the compiler from leaving out what nobody reads.
var collected atomic.Pointer[[]*http.Request]

// collect lets the garbage collector run when the handler needs its request no more, and puts others in its place.
func collect(w http.ResponseWriter, r *http.Request) {
	n := last(r)
	runtime.GC()
	others := make([]*http.Request, 64)
	for i := range others {
		others[i] = &http.Request{Method: "WRONG", RequestURI: "/wrong", Host: "wrong.example", RemoteAddr: "8.8.8.8:8"}
	}
	collected.Store(&others)
	fmt.Fprintf(w, "collected %s\n", n)
}

func copiedItems(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "%v %s\n", r.Context().Value(ctxKey{}), last(r))
}

func status(w http.ResponseWriter, r *http.Request) {
	code, err := strconv.Atoi(last(r))
	if err != nil || code < 200 || code > 999 {
		http.Error(w, "a status from 200 to 999", http.StatusBadRequest)
		return
	}
	w.WriteHeader(code)
}

func slow(w http.ResponseWriter, r *http.Request) {
	ms, err := strconv.Atoi(r.URL.Query().Get("ms"))
	d := time.Duration(ms) * time.Millisecond
	if err != nil || d < 0 || d > maxSlow {
		http.Error(w, "ms from 0 to 60000", http.StatusBadRequest)
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
	fmt.Fprintf(w, "slept %d ms\n", ms)
}

func panics(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("after") == "header" {
		w.WriteHeader(http.StatusAccepted)
	}
	ended(w, EndPanic)
	panic("asked to panic")
}

func aborts(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("after") == "header" {
		w.WriteHeader(http.StatusAccepted)
	}
	ended(w, EndAbort)
	panic(http.ErrAbortHandler)
}

func hijack(w http.ResponseWriter, _ *http.Request) {
	h, ok := w.(http.Hijacker)
	if !ok {
		http.Error(w, "no hijacker", http.StatusInternalServerError)
		return
	}
	conn, rw, err := h.Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer conn.Close()
	rw.WriteString("HTTP/1.1 299 Raw\r\nContent-Length: 4\r\nConnection: close\r\n\r\nraw\n")
	rw.Flush()
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxEcho))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	w.Write(body)
}

func bytesN(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(last(r))
	if err != nil || n < 0 || n > maxBytes {
		http.Error(w, "n from 0 to 67108864", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(n))
	var chunk [32 << 10]byte
	for n > 0 {
		part := chunk[:]
		if n < len(part) {
			part = part[:n]
		}
		written, err := w.Write(part)
		if err != nil {
			return
		}
		n -= written
	}
}

// trace answers with the trace headers as the application saw them.
func trace(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "%s\n%s\n", r.Header.Get("traceparent"), r.Header.Get("tracestate"))
}

// grow makes the goroutine's stack grow, so that it moves while the request is in flight.
func grow(w http.ResponseWriter, r *http.Request) {
	depth := 1000
	if text := r.URL.Query().Get("depth"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > maxDepth {
			http.Error(w, "depth from 0 to 200000", http.StatusBadRequest)
			return
		}
		depth = n
	}
	fmt.Fprintf(w, "%d\n", descend(depth))
}

//go:noinline
func descend(depth int) int {
	var frame [1024]byte
	frame[depth&1023] = 1
	if depth == 0 {
		return int(frame[0])
	}
	return descend(depth-1) + int(frame[depth&1023])
}
