// Server-xnet has the routes of server behind golang.org/x/net/http2: over HTTP/2 without TLS as before Go 1.24, or with
// TLS where http2.ConfigureServer put it into an ordinary http.Server. Both are linked, whichever serves.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"

	"trigon.dev/tests/programs/server/app"
)

func main() {
	f := app.Parse("xnet-h2c (default), tls (HTTP/1.1 and HTTP/2)")
	handler, truth := app.New()
	h2 := &http2.Server{}
	srv := &http.Server{}
	var serve func(net.Listener) error
	var err error
	switch f.Mode {
	case "", "xnet-h2c":
		srv.Handler = h2c.NewHandler(handler, h2)
		serve = srv.Serve
	case "tls":
		srv.Handler = handler
		srv.TLSConfig, err = app.SelfSigned()
		serve = func(l net.Listener) error { return srv.ServeTLS(l, "", "") }
	default:
		fmt.Fprintf(os.Stderr, "server-xnet: unknown -mode %q\n", f.Mode)
		os.Exit(2)
	}
	// Without this, Shutdown would not wait for the connections that h2c hijacked.
	if err == nil {
		err = http2.ConfigureServer(srv, h2)
	}
	if err == nil {
		err = app.Run(f, srv, truth, serve)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "server-xnet:", err)
		os.Exit(1)
	}
}
