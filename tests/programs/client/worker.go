package main

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// connection sends requests, each exactly once.
type connection interface {
	do(e *entry, number int, trace []byte) (int, error)
	close()
	stats() (opened, read uint64)
}

// plan is what all workers share: which request is next, and when.
type plan struct {
	opts  *options
	mix   []*entry
	seq   []uint16 // repeated when the run is bounded by time and not by number
	next  atomic.Int64
	start time.Time
	stop  atomic.Bool
}

type statusKey struct{ entry, status int }

type errorKey struct {
	entry int
	kind  string
}

type sentTrace struct {
	TraceID string `json:"trace_id"`
	SpanID  string `json:"span_id"`
	Method  string `json:"method"`
	Path    string `json:"path"`
	Status  int    `json:"status"`
}

// worker is one loop of requests and its own counts.
type worker struct {
	plan       *plan
	conn       connection
	statuses   map[statusKey]uint64
	errors     map[errorKey]uint64
	samples    map[errorKey]string
	surprises  uint64
	sent       uint64
	traced     uint64
	traces     []sentTrace
	lat        latency // from sending
	scheduled  latency // from the time at which the request was due
	maxTraces  int
	traceBytes [55]byte
}

func newWorker(p *plan, conn connection, maxTraces int) *worker {
	return &worker{
		plan: p, conn: conn, maxTraces: maxTraces,
		statuses: map[statusKey]uint64{}, errors: map[errorKey]uint64{}, samples: map[errorKey]string{},
	}
}

func (w *worker) run() {
	p := w.plan
	for !p.stop.Load() {
		number := int(p.next.Add(1) - 1)
		if p.opts.duration == 0 && number >= len(p.seq) {
			return
		}
		due := time.Time{}
		if p.opts.rate > 0 {
			due = p.start.Add(time.Duration(float64(number) / p.opts.rate * float64(time.Second)))
			if d := time.Until(due); d > 0 {
				time.Sleep(d)
			}
			if p.stop.Load() {
				return
			}
		}
		e := p.mix[p.seq[number%len(p.seq)]]
		trace := w.trace(number)
		begin := time.Now()
		status, err := w.conn.do(e, number, trace)
		end := time.Now()
		w.sent++
		w.lat.add(end.Sub(begin).Nanoseconds())
		if !due.IsZero() {
			w.scheduled.add(end.Sub(due).Nanoseconds())
		}
		if len(trace) > 0 {
			w.noteTrace(e, number, status)
		}
		if err == nil {
			w.statuses[statusKey{e.index, status}]++
			if !e.expected(status) {
				w.surprises++
			}
			continue
		}
		k := errorKey{e.index, kind(err)}
		w.errors[k]++
		w.samples[k] = err.Error()
		if !e.ExpectError {
			w.surprises++
		}
		if k.kind == "dial" {
			time.Sleep(10 * time.Millisecond) // do not spin against a server that is gone
		}
	}
}

// trace returns the request's traceparent if it gets one: decided, like the ids, by seed and number alone.
func (w *worker) trace(number int) []byte {
	ratio := w.plan.opts.traceRatio
	seed := uint64(w.plan.opts.seed)
	if ratio <= 0 || float64(mix64(seed^mix64(uint64(number)))>>11)/(1<<53) >= ratio {
		return nil
	}
	var id [24]byte
	for i := range [3]int{} {
		// Never 0, which would be an invalid id.
		binary.BigEndian.PutUint64(id[8*i:], mix64(seed+uint64(number)*3+uint64(i)+1)|1)
	}
	b := w.traceBytes[:]
	copy(b, "00-")
	hex.Encode(b[3:35], id[:16])
	b[35] = '-'
	hex.Encode(b[36:52], id[16:])
	copy(b[52:], "-01")
	return b
}

func (w *worker) noteTrace(e *entry, number, status int) {
	w.traced++
	if len(w.traces) < w.maxTraces {
		w.traces = append(w.traces, sentTrace{
			TraceID: string(w.traceBytes[3:35]), SpanID: string(w.traceBytes[36:52]),
			Method: e.Method, Path: string(e.appendPath(nil, number)), Status: status,
		})
	}
}

// mix64 is the finalizer of SplitMix64 (public domain).
func mix64(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// kind names an error in few words, so that errors can be counted.
func kind(err error) string {
	var op *net.OpError
	switch {
	case errors.Is(err, errNoResponse):
		return "no_response"
	case errors.Is(err, errNotHTTP2):
		return "not_http2"
	case errors.Is(err, os.ErrDeadlineExceeded) || strings.Contains(err.Error(), "timeout") ||
		strings.Contains(err.Error(), "deadline exceeded"):
		return "timeout"
	case strings.Contains(err.Error(), "stream error") || strings.Contains(err.Error(), "INTERNAL_ERROR"):
		return "stream_reset"
	case errors.As(err, &op) && op.Op == "dial":
		return "dial"
	case errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE):
		return "connection_reset"
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return "truncated"
	}
	return "other"
}
