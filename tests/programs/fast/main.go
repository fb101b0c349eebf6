// Fast is a server of fasthttp. It answers as it is asked to, too late, and by calling itself with net/http's client.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	never := make(chan struct{})
	late := fasthttp.TimeoutWithCodeHandler(func(*fasthttp.RequestCtx) { <-never }, 10*time.Millisecond, "late", 504)
	serve := func(ctx *fasthttp.RequestCtx) {
		switch path := string(ctx.Path()); {
		case path == "/hello":
			ctx.SetBodyString("hello")
		case strings.HasPrefix(path, "/items/"):
			ctx.SetStatusCode(fasthttp.StatusCreated)
		case path == "/fail":
			ctx.Error("failed", fasthttp.StatusInternalServerError)
		case path == "/late":
			late(ctx)
		case path == "/call":
			response, err := http.Get(fmt.Sprintf("http://%s/hello?from=call", listener.Addr()))
			if err != nil {
				ctx.Error(err.Error(), fasthttp.StatusBadGateway)
				return
			}
			io.Copy(ctx, response.Body)
			response.Body.Close()
		default:
			ctx.NotFound()
		}
	}
	server := fasthttp.Server{Handler: serve, Name: "fast"}
	go server.Serve(listener)
	fmt.Println("listening", listener.Addr())
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
}
