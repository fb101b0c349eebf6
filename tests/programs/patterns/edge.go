package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
)

// edge is the server whose requests begin the traces.
type edge struct {
	to, middle string
	proxy      *httputil.ReverseProxy
	pool       chan job // to workers that are there from the beginning
	born       chan job // to workers that requests have started
	refresh    refresh
	conns      sync.Map       // net.Conn to *connection
	detached   sync.WaitGroup // work that outlives its request

	mu       sync.Mutex
	requests map[string]int
	calls    map[string]int
	failures []string
}

// request is one of the edge, and what a pattern needs to know of it.
type request struct {
	*edge
	ctx     context.Context
	conn    *connection
	pattern string
	id      string
	w       http.ResponseWriter
	r       *http.Request
	failed  atomic.Bool
}

func newEdge(to, middle string) *edge {
	e := &edge{
		to: to, middle: middle,
		pool: make(chan job), born: make(chan job),
		requests: map[string]int{}, calls: map[string]int{},
	}
	backend := &url.URL{Scheme: scheme, Host: to}
	e.proxy = httputil.NewSingleHostReverseProxy(backend)
	for i := 0; i < poolSize; i++ {
		go func() {
			for j := range e.pool {
				j.run()
			}
		}()
	}
	e.refresh.prepare(e)
	return e
}

// serveBy makes a server serve it.
func (e *edge) serveBy(srv *http.Server) {
	srv.Handler = e
	srv.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		c := &connection{}
		e.conns.Store(conn, c)
		return context.WithValue(ctx, connectionKey{}, c)
	}
	srv.ConnState = func(conn net.Conn, state http.ConnState) {
		if state != http.StateIdle && state != http.StateClosed {
			return
		}
		if c, ok := e.conns.Load(conn); ok {
			c.(*connection).requestEnded()
		}
		if state == http.StateClosed {
			e.conns.Delete(conn)
		}
	}
}

func (e *edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/quiet" {
		e.quiet(w)
		return
	}
	parts := strings.Split(r.URL.Path, "/")
	if len(parts) != 3 || patterns[parts[1]] == nil || parts[2] == "" {
		http.NotFound(w, r)
		return
	}
	q := &request{edge: e, ctx: r.Context(), pattern: parts[1], id: parts[2], w: w, r: r}
	q.conn, _ = q.ctx.Value(connectionKey{}).(*connection)
	e.refresh.begin()
	e.mu.Lock()
	e.requests[q.pattern]++
	e.mu.Unlock()
	answered := patterns[q.pattern](q)
	switch {
	case answered == byProxy:
	case q.failed.Load():
		http.Error(w, "a call failed", http.StatusBadGateway)
	default:
		fmt.Fprintln(w, q.pattern)
	}
}

// quiet ends all background work and says what was done, in JSON.
func (e *edge) quiet(w http.ResponseWriter) {
	e.refresh.end()
	e.detached.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	_ = json.NewEncoder(w).Encode(map[string]any{
		"requests": e.requests, "calls": e.calls, "failures": e.failures,
	})
}

// note counts a call and keeps its error.
func (e *edge) note(pattern string, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls[pattern]++
	if err != nil && len(e.failures) < 20 {
		e.failures = append(e.failures, err.Error())
	}
}

// path is that of a call of this request.
func (q *request) path(call string) string {
	return "/leaf/" + q.pattern + "/" + q.id + "/" + call
}

// call calls the backend with this context; nil: without any.
func (q *request) call(ctx context.Context, call string) {
	q.callAt(ctx, q.to, call)
}

func (q *request) callAt(ctx context.Context, host, call string) {
	err := fetch(ctx, scheme+"://"+host+q.path(call))
	if err != nil {
		q.failed.Store(true)
	}
	q.note(q.pattern, err)
}

type connectionKey struct{}

// connection is one of the edge's clients.
type connection struct {
	// Only the goroutine of the connection uses it.
	hasWorker bool

	mu    sync.Mutex
	ended chan struct{}
}

// afterRequest returns a channel that is closed when the request that is served now is over for the server, too. The
// context is cancelled a moment before, when the response is not yet finished.
func (c *connection) afterRequest() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended == nil {
		c.ended = make(chan struct{})
	}
	return c.ended
}

func (c *connection) requestEnded() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != nil {
		close(c.ended)
		c.ended = nil
	}
}
