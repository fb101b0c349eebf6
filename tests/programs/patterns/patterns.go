package main

import (
	"context"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// answer is who answers a request.
type answer int

const (
	byEdge answer = iota
	byProxy
)

// patterns are the edge's routes. Each waits for its calls, but for the detached ones, so that "while the request is
// open" is no matter of luck.
var patterns = map[string]func(*request) answer{
	"sequential":         sequential,
	"nocontext":          noContext,
	"wrapped":            wrapped,
	"fanout":             fanout,
	"fanout-nocontext":   fanoutNoContext,
	"errgroup":           errGroup,
	"pool-context":       poolContext,
	"pool-nocontext":     poolNoContext,
	"worker":             workerBornInRequest,
	"afterfunc-context":  afterFuncContext,
	"afterfunc":          afterFunc,
	"detached":           detached,
	"detached-nocontext": detachedNoContext,
	"nested":             nested,
	"reverseproxy":       reverseProxy,
}

// sequential calls on the handler's goroutine, with the request's context.
func sequential(q *request) answer {
	for i := 0; i < 3; i++ {
		q.call(q.ctx, strconv.Itoa(i))
	}
	return byEdge
}

// noContext calls on the handler's goroutine by http.Get.
func noContext(q *request) answer {
	for i := 0; i < 2; i++ {
		q.call(nil, strconv.Itoa(i))
	}
	return byEdge
}

// each lets n goroutines that the handler creates call, and returns a function that waits for them.
func (q *request) each(n int, name string, call func(name string)) func() {
	var group sync.WaitGroup
	for i := 0; i < n; i++ {
		group.Add(1)
		go func(name string) {
			defer group.Done()
			call(name)
		}(name + strconv.Itoa(i))
	}
	return group.Wait
}

// fanout calls on goroutines of its own, with the context.
func fanout(q *request) answer {
	q.each(4, "", func(name string) { q.call(q.ctx, name) })()
	return byEdge
}

// fanoutNoContext calls on goroutines of its own that tell by nothing but their creator to whom they belong: some call
// at once, some have slept, and some were created when the handler itself had slept, and had perhaps woken up on another
// of the scheduler's Ps, which hands out other goroutine ids.
func fanoutNoContext(q *request) answer {
	once := q.each(2, "once", func(name string) { q.call(nil, name) })
	slept := q.each(2, "slept", func(name string) {
		time.Sleep(3 * time.Millisecond)
		q.call(nil, name)
	})
	time.Sleep(time.Millisecond)
	q.each(2, "late", func(name string) { q.call(nil, name) })()
	once()
	slept()
	return byEdge
}

func errGroup(q *request) answer {
	group, ctx := errgroup.WithContext(q.ctx)
	for i := 0; i < 3; i++ {
		name := strconv.Itoa(i)
		group.Go(func() error {
			q.call(ctx, name)
			return nil
		})
	}
	_ = group.Wait()
	return byEdge
}

// afterFuncContext calls from a timer's goroutine, which the scheduler creates, with the context.
func afterFuncContext(q *request) answer {
	done := make(chan struct{})
	time.AfterFunc(time.Millisecond, func() {
		defer close(done)
		q.call(q.ctx, "timer")
	})
	<-done
	return byEdge
}

// afterFunc is the same without the context: nobody can know whose call this is.
func afterFunc(q *request) answer {
	done := make(chan struct{})
	time.AfterFunc(time.Millisecond, func() {
		defer close(done)
		q.call(nil, "timer")
	})
	<-done
	return byEdge
}

// detached calls when its request is over, with a context that outlives it: once at once, and once when the connection's
// goroutine serves the next request, if there is one. It may still be known to whom the context belongs, or no more.
func detached(q *request) answer {
	q.detach(context.WithoutCancel(q.ctx))
	return byEdge
}

// detachedNoContext is the same without the context. Whoever its creator serves by then has nothing to do with it.
func detachedNoContext(q *request) answer {
	q.detach(nil)
	return byEdge
}

func (q *request) detach(ctx context.Context) {
	over := q.conn.afterRequest()
	q.edge.detached.Add(1)
	go func() {
		defer q.edge.detached.Done()
		<-over
		q.call(ctx, "ended")
		time.Sleep(2 * time.Millisecond)
		q.call(ctx, "later")
	}()
}

// nested calls the middle, which calls the backend.
func nested(q *request) answer {
	q.callAt(q.ctx, q.middle, "middle")
	return byEdge
}

func reverseProxy(q *request) answer {
	outer := q.r.Clone(q.ctx)
	outer.URL.Path = q.path("proxied")
	q.proxy.ServeHTTP(q.w, outer)
	q.note(q.pattern, nil)
	return byProxy
}
