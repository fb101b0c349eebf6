//go:build !go1.24

package main

import (
	"errors"
	"net/http"
)

var errNotHTTP2 = errors.New("the server did not answer in HTTP/2")

func priorKnowledge(*http.Transport) error {
	return errors.New("-h2c needs a client built with Go 1.24 or later")
}
