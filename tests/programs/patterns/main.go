// Patterns is three servers in one program: an edge, whose routes call a backend in all the ways in which Go programs
// make calls, a backend, and one in the middle. All paths say to which request of the edge they belong, so that one who
// sees only spans can tell which of them should hang together:
//
//	/PATTERN/ID            a request of the edge
//	/leaf/PATTERN/ID/CALL  a call made for it, of the middle or the backend
//
// What the agent should find of each call stands in tests/src/pattern_program.rs; here it is said why.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"trigon.dev/tests/programs/ports"
)

const (
	// shutdownTime bounds the wait for requests in flight at SIGTERM.
	shutdownTime = 10 * time.Second
	dialTime     = 30 * time.Second
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on; port 0 takes a free one")
	role := flag.String("role", "edge", "edge, middle or backend")
	to := flag.String("to", "", "HOST:PORT of the backend (edge and middle)")
	middle := flag.String("middle", "", "HOST:PORT of the middle (edge)")
	portRange := flag.String("ports", "", "local ports to connect from, LOW-HIGH (Linux 6.3)")
	http2 := flag.Bool("http2", false, "call the backend and the middle over HTTP/2 and TLS")
	flag.Parse()
	from, err := ports.Dialer(dialTime, *portRange)
	if err != nil {
		fail(2, err)
	}
	// One process calls only one or two others, with hundreds of calls at a time.
	transport := http.DefaultTransport.(*http.Transport)
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, 1<<16
	transport.DialContext = from.DialContext
	srv := &http.Server{ErrorLog: log.New(io.Discard, "", 0)}
	if *http2 {
		config, err := useHTTP2(transport)
		if err != nil {
			fail(1, err)
		}
		if *role != "edge" {
			srv.TLSConfig = config
		}
	}
	switch *role {
	case "edge":
		newEdge(*to, *middle).serveBy(srv)
	case "middle":
		srv.Handler = middleHandler(*to)
	case "backend":
		srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "leaf") })
	default:
		fail(2, fmt.Errorf("unknown -role %q", *role))
	}
	if err := run(srv, *listen); err != nil {
		fail(1, err)
	}
}

func fail(code int, err error) {
	fmt.Fprintln(os.Stderr, "patterns:", err)
	os.Exit(code)
}

// run serves until SIGTERM or SIGINT.
func run(srv *http.Server, address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	failed := make(chan error, 1)
	go func() {
		if srv.TLSConfig == nil {
			failed <- srv.Serve(listener)
		} else {
			failed <- srv.ServeTLS(listener, "", "")
		}
	}()
	fmt.Printf("listening %s\npid %d\n", listener.Addr(), os.Getpid())
	select {
	case err := <-failed:
		return err
	case <-signals:
	}
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// middleHandler answers /leaf/PATTERN/ID/CALL when the backend has answered /leaf/PATTERN/ID/leaf.
func middleHandler(to string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		above := r.URL.Path[:strings.LastIndexByte(r.URL.Path, '/')]
		if err := fetch(r.Context(), scheme+"://"+to+above+"/leaf"); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		fmt.Fprintln(w, "middle")
	})
}

// fetch calls with a context, or without any if it is nil, and reads the answer to its end, so that the connection can
// be used again.
func fetch(ctx context.Context, url string) error {
	var answer *http.Response
	var err error
	if ctx == nil {
		answer, err = http.Get(url)
	} else {
		var r *http.Request
		if r, err = http.NewRequestWithContext(ctx, http.MethodGet, url, nil); err == nil {
			answer, err = http.DefaultClient.Do(r)
		}
	}
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, answer.Status)
	}
	return nil
}
