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
	"syscall"

	"github.com/gin-gonic/gin"
	"github.com/labstack/echo/v4"
	echomiddleware "github.com/labstack/echo/v4/middleware"
)

type key struct{}

func copied(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), key{}, 1))
}

func ginRouter() http.Handler {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	e.Use(gin.CustomRecoveryWithWriter(nil, func(c *gin.Context, _ any) { c.AbortWithStatus(http.StatusInternalServerError) }))
	e.Use(func(c *gin.Context) { c.Request = copied(c.Request) })
	ok := func(c *gin.Context) { c.String(http.StatusOK, "ok") }
	e.GET("/health", ok)
	e.GET("/users/:id", ok)
	e.POST("/users/:id", func(c *gin.Context) { c.Status(http.StatusCreated) })
	e.GET("/files/*path", ok)
	e.Group("/api").Group("/v1").GET("/items/:item/parts/:part", ok)
	e.GET("/panic/:id", func(*gin.Context) { panic("a handler's") })
	return e
}

func echoRouter() http.Handler {
	e := echo.New()
	e.Use(echomiddleware.RecoverWithConfig(echomiddleware.RecoverConfig{DisablePrintStack: true}))
	e.HideBanner = true
	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			c.SetRequest(copied(c.Request()))
			return next(c)
		}
	})
	ok := func(c echo.Context) error { return c.String(http.StatusOK, "ok") }
	e.GET("/health", ok)
	e.GET("/users/:id", ok)
	e.POST("/users/:id", func(c echo.Context) error { return c.NoContent(http.StatusCreated) })
	e.GET("/files/*", ok)
	e.Group("/api").Group("/v1").GET("/items/:item/parts/:part", ok)
	e.GET("/panic/:id", func(echo.Context) error { panic("a handler's") })
	return e
}

func main() {
	which := flag.String("router", "gin", "gin or echo")
	mounted := flag.Bool("mounted", false, "below a ServeMux's pattern, behind middleware that copies the request")
	flag.Parse()
	handler, known := map[string]func() http.Handler{"gin": ginRouter, "echo": echoRouter}[*which]
	if !known {
		fmt.Fprintln(os.Stderr, "routers: no router", *which)
		os.Exit(2)
	}
	serve := handler()
	if *mounted {
		router, mux := serve, http.NewServeMux()
		mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { router.ServeHTTP(w, copied(r)) })
		mux.HandleFunc("/beside/", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok")) })
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
