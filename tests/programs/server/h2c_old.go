//go:build !go1.24

package main

import (
	"errors"
	"net/http"
)

func enableH2C(*http.Server) error {
	return errors.New("-mode h2c needs Go 1.24 or later; before that there is server-xnet")
}
