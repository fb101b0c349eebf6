// Routers is an HTTP server with one of the routers that are built on net/http, and routes of all kinds that it knows.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

type key struct{}

func copied(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), key{}, 1))
}

// through: the handler's panic is not recovered from.
func through(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, "/through/")
}

func ok(w http.ResponseWriter, _ *http.Request) {
	w.Write([]byte("ok"))
}

func created(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusCreated)
}

func panics(http.ResponseWriter, *http.Request) {
	panic("a handler's")
}

func main() {
	which := flag.String("router", "gin", "gin, echo, chi, gorilla or mux")
	mounted := flag.Bool("mounted", false, "below a ServeMux's pattern, behind middleware that copies the request")
	timeout := flag.Bool("timeout", false, "behind http.TimeoutHandler, whose goroutine serves")
	flag.Parse()
	routers := map[string]func() http.Handler{
		"gin": ginRouter, "echo": echoRouter, "chi": chiRouter, "gorilla": gorillaRouter, "mux": muxRouter,
	}
	handler, known := routers[*which]
	if !known {
		fmt.Fprintln(os.Stderr, "routers: no router", *which)
		os.Exit(2)
	}
	serve := handler()
	if *timeout {
		serve = http.TimeoutHandler(serve, time.Minute, "")
	}
	if *mounted {
		router, mux := serve, http.NewServeMux()
		mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { router.ServeHTTP(w, copied(r)) })
		mux.HandleFunc("/beside/", ok)
		serve = mux
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go http.Serve(listener, serve)
	fmt.Println("listening", listener.Addr())
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
}
