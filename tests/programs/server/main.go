// Server is the Go program that the end-to-end tests observe: every way a net/http request can begin and end.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"

	"trigon.dev/tests/programs/server/app"
)

func main() {
	f := app.Parse("h1 (default), tls (HTTP/1.1 and HTTP/2), h2c (Go 1.24 or later)")
	handler, truth := app.New()
	srv := &http.Server{Handler: handler}
	serve := srv.Serve
	switch f.Mode {
	case "", "h1":
	case "tls":
		config, err := app.SelfSigned()
		if err != nil {
			fail(1, err)
		}
		srv.TLSConfig = config
		serve = func(l net.Listener) error { return srv.ServeTLS(l, "", "") }
	case "h2c":
		if err := enableH2C(srv); err != nil {
			fail(2, err)
		}
	default:
		fail(2, fmt.Errorf("unknown -mode %q", f.Mode))
	}
	if err := app.Run(f, srv, truth, serve); err != nil {
		fail(1, err)
	}
}

func fail(code int, err error) {
	fmt.Fprintln(os.Stderr, "server:", err)
	os.Exit(code)
}
