// Command caller serves /call?url=URL&method=METHOD&traceparent=HEADER: it makes that call by net/http's client, with the
// request's context, and answers what came of it. It counts the calls' outcomes, and prints them as JSON when it is told to end.
// /keep keeps its request's context, which outlives the request; /call?kept=true calls with that one.
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

type caller struct {
	client *http.Client
	mu     sync.Mutex
	counts map[string]int
	kept   context.Context
}

func (c *caller) keep(_ http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept = context.WithoutCancel(r.Context())
}

func (c *caller) call(r *http.Request) string {
	query := r.URL.Query()
	ctx := r.Context()
	if query.Get("kept") != "" {
		c.mu.Lock()
		ctx = c.kept
		c.mu.Unlock()
	}
	out, err := http.NewRequestWithContext(ctx, query.Get("method"), query.Get("url"), nil)
	if err != nil {
		return err.Error()
	}
	if parent := query.Get("traceparent"); parent != "" {
		out.Header.Set("traceparent", parent)
	}
	response, err := c.client.Do(out)
	if err != nil {
		return "error"
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return fmt.Sprintf("%s %d", response.Proto, response.StatusCode)
}

func (c *caller) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	outcome := c.call(r)
	c.mu.Lock()
	c.counts[outcome]++
	c.mu.Unlock()
	fmt.Fprintln(w, outcome)
}

// closing answers one request of each connection well and closes it when the next one comes, as servers do whose patience
// with idle connections ends just then: the client makes the request again over another connection.
func closing(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			buffer := make([]byte, 4096)
			if _, err := conn.Read(buffer); err != nil {
				return
			}
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			_, _ = conn.Read(buffer)
		}()
	}
}

func main() {
	transport := &http.Transport{
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: true},
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     time.Minute,
	}
	// Redirects are calls of their own.
	c := &caller{client: &http.Client{Transport: transport}, counts: map[string]int{}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fickle, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go closing(fickle)
	mux := http.NewServeMux()
	mux.Handle("/call", c)
	mux.HandleFunc("/keep", c.keep)
	mux.HandleFunc("/fickle", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, fickle.Addr()) })
	mux.HandleFunc("/redirect", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Query().Get("to"), http.StatusFound)
	})
	fmt.Println("listening", listener.Addr())
	go func() { log.Fatal(http.Serve(listener, mux)) }()
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	<-ended
	c.mu.Lock()
	truth, _ := json.Marshal(c.counts)
	fmt.Printf("truth %s\n", truth)
}
