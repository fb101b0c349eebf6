// Fast is a server of fasthttp. It answers as it is asked to, too late, and by calling itself, with net/http's client and
// with fasthttp's.
package main

import (
	"bufio"
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
	hangup, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go hangUp(hangup)
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
		case strings.HasPrefix(path, "/forward/"):
			forward(ctx, listener.Addr().String(), strings.TrimPrefix(path, "/forward"))
		case path == "/refused":
			forward(ctx, "127.0.0.1:1", "/refused")
		case path == "/hangup":
			// Each of five attempts gets no answer.
			forward(ctx, hangup.Addr().String(), "/hangup")
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

// hangUp reads requests and answers none.
func hangUp(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			http.ReadRequest(bufio.NewReader(conn))
			conn.Close()
		}()
	}
}

// forward calls an address with the method that it was called with itself, and answers with the status that it gets.
func forward(ctx *fasthttp.RequestCtx, address, path string) {
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	request.SetRequestURI(fmt.Sprintf("http://%s%s?from=forward", address, path))
	if method := string(ctx.Method()); method != fasthttp.MethodGet {
		request.Header.SetMethod(method)
	}
	if err := fasthttp.Do(request, response); err != nil {
		ctx.Error(err.Error(), fasthttp.StatusBadGateway)
		return
	}
	ctx.SetStatusCode(response.StatusCode())
}
