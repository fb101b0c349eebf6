// Command caller serves /call?url=URL&method=METHOD&traceparent=HEADER: it makes that call by net/http's client, with the
// request's context, and answers what came of it. It counts the calls' outcomes, and prints them as JSON when it is told to end.
// /keep keeps its request's context, which outlives the request; /call?kept=true calls with that one.
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"os/signal"
	"strings"
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
	return c.do(out)
}

func (c *caller) do(out *http.Request) string {
	response, err := c.client.Do(out)
	if err != nil {
		return "error"
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return fmt.Sprintf("%s %d", response.Proto, response.StatusCode)
}

// stranger answers for a connection that has spoken a protocol of its own.
type stranger struct{ conn net.Conn }

func (s stranger) RoundTrip(r *http.Request) (*http.Response, error) {
	s.conn.Close()
	return &http.Response{StatusCode: 200, Body: http.NoBody, Request: r}, nil
}

// unseen makes a call by a Transport that leaves its new connection to a stranger.
func unseen(r *http.Request, url string) {
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}},
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{
			"h2": func(_ string, conn *tls.Conn) http.RoundTripper { return stranger{conn} },
		},
	}
	defer transport.CloseIdleConnections()
	out, err := http.NewRequestWithContext(r.Context(), "GET", url, nil)
	if err != nil {
		panic(err)
	}
	if response, err := transport.RoundTrip(out); err != nil || response.StatusCode != 200 {
		panic(err)
	}
}

// givenUp makes a call over a connection that is closed instead of an answer, whose body cannot be had a second time.
func (c *caller) givenUp(r *http.Request, url string) {
	if answer := c.get(r, url); answer != "HTTP/1.1 200" {
		panic(answer)
	}
	out, err := http.NewRequestWithContext(r.Context(), "POST", url, strings.NewReader("once"))
	if err != nil {
		panic(err)
	}
	out.Header.Set("Idempotency-Key", "1")
	out.GetBody = func() (io.ReadCloser, error) { return nil, errors.New("it is gone") }
	if _, err := c.client.Do(out); err == nil {
		panic("it was made again")
	}
}

func (c *caller) get(r *http.Request, url string) string {
	out, err := http.NewRequestWithContext(r.Context(), "GET", url, nil)
	if err != nil {
		return err.Error()
	}
	return c.do(out)
}

// timed makes a call whose path says when that was.
func (c *caller) timed(r *http.Request, url string) string {
	return c.get(r, fmt.Sprintf("%s/%d", url, time.Now().UnixNano()))
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
	// Each makes the timed call only if it is to.
	then := func(before func(*http.Request, string)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			query := r.URL.Query()
			if url := query.Get("url"); url != "" {
				before(r, url)
			}
			if url := query.Get("then"); url != "" {
				fmt.Fprintln(w, c.timed(r, url))
			}
		}
	}
	mux.HandleFunc("/unseen", then(unseen))
	mux.HandleFunc("/givenup", then(c.givenUp))
	mux.HandleFunc("/dump", func(w http.ResponseWriter, r *http.Request) {
		for _, url := range []string{"http://example.com/x", "https://example.com/x"} {
			out, err := http.NewRequestWithContext(r.Context(), "POST", url, strings.NewReader("text"))
			if err != nil {
				panic(err)
			}
			dump, err := httputil.DumpRequestOut(out, true)
			if err != nil {
				panic(err)
			}
			fmt.Fprintln(w, len(dump))
		}
	})
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
