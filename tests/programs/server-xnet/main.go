// Server-xnet has the routes of server behind golang.org/x/net/http2/h2c: HTTP/2 without TLS as before Go 1.24.
package main

import (
	"fmt"
	"net/http"
	"os"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"

	"trigon.dev/tests/programs/server/app"
)

func main() {
	f := app.Parse("xnet-h2c (default)")
	if f.Mode != "" && f.Mode != "xnet-h2c" {
		fmt.Fprintf(os.Stderr, "server-xnet: unknown -mode %q\n", f.Mode)
		os.Exit(2)
	}
	handler, truth := app.New()
	h2 := &http2.Server{}
	srv := &http.Server{Handler: h2c.NewHandler(handler, h2)}
	// Without this, Shutdown would not wait for the connections that h2c hijacked.
	err := http2.ConfigureServer(srv, h2)
	if err == nil {
		err = app.Run(f, srv, truth, srv.Serve)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "server-xnet:", err)
		os.Exit(1)
	}
}
