// A server of fiber v2 with routes of all kinds that it knows.
package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/recover"
)

func main() {
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Use(recover.New())
	app.Use(func(c *fiber.Ctx) error {
		if c.Path() == "/refused" {
			return c.SendStatus(fiber.StatusForbidden)
		}
		return c.Next()
	})
	ok := func(c *fiber.Ctx) error { return c.SendString("ok") }
	app.Get("/", ok)
	app.Get("/health", ok)
	app.Get("/users/:id", ok)
	app.Post("/users/:id", func(c *fiber.Ctx) error { return c.SendStatus(fiber.StatusCreated) })
	app.Get("/files/*", ok)
	app.Group("/api").Group("/v1").Get("/items/:item/parts/:part", ok)
	app.Get("/panic/:id", func(*fiber.Ctx) error { panic("a handler's") })
	app.Get("/refused", ok)
	inner := fiber.New()
	inner.Get("/deep/:id", ok)
	app.Mount("/mounted", inner)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go app.Listener(listener)
	fmt.Println("listening", listener.Addr())
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
}
