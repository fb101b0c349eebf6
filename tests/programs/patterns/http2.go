package main

import (
	"crypto/tls"
	"net/http"

	"trigon.dev/tests/programs/server/app"
)

// scheme is how the backend and the middle are called: over HTTP/1.1, or with -http2 over TLS, which agrees on HTTP/2.
var scheme = "http"

// useHTTP2 makes calls go over HTTP/2, and returns what a server needs for it.
func useHTTP2(transport *http.Transport) (*tls.Config, error) {
	scheme = "https"
	transport.ForceAttemptHTTP2 = true
	// Nobody but these servers listens there.
	transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	return app.SelfSigned()
}
