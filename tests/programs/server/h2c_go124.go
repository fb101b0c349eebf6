//go:build go1.24

package main

import "net/http"

// enableH2C adds HTTP/2 without TLS to HTTP/1.1.
func enableH2C(srv *http.Server) error {
	srv.Protocols = new(http.Protocols)
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	return nil
}
