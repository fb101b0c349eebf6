//go:build go1.24

package main

import (
	"errors"
	"net/http"
)

var errNotHTTP2 = errors.New("the server did not answer in HTTP/2")

// priorKnowledge speaks HTTP/2 without TLS from the first byte.
func priorKnowledge(t *http.Transport) error {
	t.Protocols = new(http.Protocols)
	t.Protocols.SetUnencryptedHTTP2(true)
	return nil
}
