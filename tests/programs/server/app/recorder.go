package app

import (
	"bufio"
	"net"
	"net/http"
)

// recorder notes what a handler writes, and what the routes say about themselves.
type recorder struct {
	http.ResponseWriter
	route  string
	end    string
	status int
	bytes  uint64
	copied bool
}

// WriteHeader notes the first final status; those below 200 are not final, except 101.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(p)
	r.bytes += uint64(n)
	return n, err
}

// Flush lets handlers stream.
func (r *recorder) Flush() {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	if f, ok := r.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}

// Hijack fails where the protocol cannot do it, as HTTP/2 cannot.
func (r *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	h, ok := r.ResponseWriter.(http.Hijacker)
	if !ok {
		return nil, nil, http.ErrNotSupported
	}
	conn, rw, err := h.Hijack()
	if err == nil {
		r.end = EndHijack
	}
	return conn, rw, err
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// ended lets a handler that is about to panic say with what.
func ended(w http.ResponseWriter, end string) {
	if rec, ok := w.(*recorder); ok {
		rec.end = end
	}
}
