package main

import (
	"context"
	"strconv"
	"sync"
	"time"
)

// poolSize is how many workers are there from the beginning.
const poolSize = 64

// job is one call that a worker makes.
type job struct {
	q    *request
	ctx  context.Context // nil: none
	call string
	done chan struct{}
}

func (j job) run() {
	j.q.call(j.ctx, j.call)
	close(j.done)
}

// byPool lets a worker of the pool make a call, and waits for it.
func (q *request) byPool(ctx context.Context, call string) {
	j := job{q, ctx, call, make(chan struct{})}
	q.pool <- j
	<-j.done
}

// poolContext: jobs carry the context.
func poolContext(q *request) answer {
	for i := 0; i < 2; i++ {
		q.byPool(q.ctx, strconv.Itoa(i))
	}
	return byEdge
}

// poolNoContext: jobs do not, so nobody can know whose they are.
func poolNoContext(q *request) answer {
	for i := 0; i < 2; i++ {
		q.byPool(nil, strconv.Itoa(i))
	}
	return byEdge
}

// workerBornInRequest has its call made by a worker that an earlier request started, mostly of another connection. The
// worker's creator is that connection's goroutine, which by now serves somebody else: a trap for those who look only for
// the creator. The first request of each connection starts such a worker and gives it its own job; there the creator is
// right. The worker takes others' jobs only when that request is over: until then it would be its creature by all signs.
func workerBornInRequest(q *request) answer {
	done := make(chan struct{})
	if q.conn.hasWorker {
		q.born <- job{q, nil, "later", done}
	} else {
		q.conn.hasWorker = true
		over := q.conn.afterRequest()
		// It lives as long as the program: a blocked goroutine harms nobody.
		go func() {
			job{q, nil, "born", done}.run()
			<-over
			for j := range q.edge.born {
				j.run()
			}
		}()
	}
	<-done
	return byEdge
}

// refreshEvery is how often the background work calls.
const refreshEvery = 5 * time.Millisecond

// refresh is work in the background that belongs to no request. Its goroutine is there from the beginning, but it waits
// for the first request: who observes may come after the program.
type refresh struct {
	beginOnce, stopOnce sync.Once
	begun, stop, ended  chan struct{}
}

func (r *refresh) prepare(e *edge) {
	r.begun, r.stop, r.ended = make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(r.ended)
		<-r.begun
		tick := time.NewTicker(refreshEvery)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-r.stop:
				return
			case <-tick.C:
			}
			q := &request{edge: e, pattern: "refresh", id: strconv.Itoa(n)}
			q.call(nil, "tick")
		}
	}()
}

func (r *refresh) begin() { r.beginOnce.Do(func() { close(r.begun) }) }

// end stops it, also if it never began, and waits.
func (r *refresh) end() {
	r.begin()
	r.stopOnce.Do(func() { close(r.stop) })
	<-r.ended
}
