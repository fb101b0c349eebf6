package main

import (
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/labstack/echo/v4"
	echomiddleware "github.com/labstack/echo/v4/middleware"
)

func ginRouter() http.Handler {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	recovers := gin.CustomRecoveryWithWriter(nil, func(c *gin.Context, _ any) { c.AbortWithStatus(http.StatusInternalServerError) })
	e.Use(func(c *gin.Context) {
		if !through(c.Request) {
			recovers(c)
		}
	})
	e.Use(func(c *gin.Context) { c.Request = copied(c.Request) })
	ok := func(c *gin.Context) { c.String(http.StatusOK, "ok") }
	e.GET("/health", ok)
	e.GET("/users/:id", ok)
	e.POST("/users/:id", func(c *gin.Context) { c.Status(http.StatusCreated) })
	e.GET("/files/*path", ok)
	e.Group("/api").Group("/v1").GET("/items/:item/parts/:part", ok)
	e.GET("/panic/:id", func(*gin.Context) { panic("a handler's") })
	e.GET("/through/:id", func(*gin.Context) { panic("a handler's") })
	return e
}

func echoRouter() http.Handler {
	e := echo.New()
	recovers := echomiddleware.RecoverWithConfig(echomiddleware.RecoverConfig{DisablePrintStack: true})
	e.HideBanner = true
	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		recovering := recovers(next)
		return func(c echo.Context) error {
			if through(c.Request()) {
				return next(c)
			}
			return recovering(c)
		}
	})
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
	e.GET("/through/:id", func(echo.Context) error { panic("a handler's") })
	return e
}
