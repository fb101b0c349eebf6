package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// http2 is one HTTP/2 connection: a transport of its own, shared by the workers that are its streams. The transport
// repeats a request only when the server says that it did not process it.
type http2 struct {
	opts      *options
	transport *http.Transport
	opened    atomic.Uint64
	read      atomic.Uint64
	ready     atomic.Bool
	first     sync.Mutex
}

func newHTTP2(opts *options) (*http2, error) {
	h := &http2{opts: opts}
	h.transport = &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := opts.dialer.DialContext(ctx, network, addr)
			if err == nil {
				h.opened.Add(1)
			}
			return conn, err
		},
		TLSClientConfig:       &tls.Config{InsecureSkipVerify: opts.insecure},
		ForceAttemptHTTP2:     true,
		DisableCompression:    true,
		ResponseHeaderTimeout: opts.timeout,
	}
	if !opts.tls {
		return h, priorKnowledge(h.transport)
	}
	return h, nil
}

func (h *http2) do(e *entry, number int, trace []byte) (int, error) {
	scheme := "http://"
	if h.opts.tls {
		scheme = "https://"
	}
	url := e.appendPath(append([]byte(scheme), h.opts.host...), number)
	ctx, cancel := context.WithTimeout(context.Background(), h.opts.timeout)
	defer cancel()
	var body io.Reader
	if len(e.body) > 0 {
		body = bytes.NewReader(e.body)
	}
	req, err := http.NewRequestWithContext(ctx, e.Method, string(url), body)
	if err != nil {
		return 0, err
	}
	for name, value := range e.Headers {
		req.Header.Set(name, value)
	}
	if len(trace) > 0 {
		req.Header.Set("traceparent", string(trace))
		if h.opts.tracestate != "" {
			req.Header.Set("tracestate", h.opts.tracestate)
		}
	}
	// The first request is alone, or each stream would dial a connection of its own.
	if !h.ready.Load() {
		h.first.Lock()
		defer h.first.Unlock()
		defer h.ready.Store(true)
	}
	resp, err := h.transport.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	h.read.Add(uint64(n))
	if resp.ProtoMajor != 2 {
		return resp.StatusCode, errNotHTTP2
	}
	if !h.opts.keepalive {
		h.transport.CloseIdleConnections()
	}
	return resp.StatusCode, err
}

func (h *http2) close() { h.transport.CloseIdleConnections() }

func (h *http2) stats() (opened, read uint64) { return h.opened.Load(), h.read.Load() }
