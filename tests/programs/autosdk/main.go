// Autosdk is an HTTP server whose handlers make spans through go.opentelemetry.io/auto/sdk, a known number of each.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"go.opentelemetry.io/auto/sdk"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

type program struct {
	tracer trace.Tracer
	db     *sql.DB
	item   string
	jobs   chan chan struct{}

	mu    sync.Mutex
	spans map[string]int
}

// span begins one and counts it.
func (p *program) span(ctx context.Context, name string, opts ...trace.SpanStartOption) (context.Context, trace.Span) {
	p.mu.Lock()
	p.spans[name]++
	p.mu.Unlock()
	return p.tracer.Start(ctx, name, opts...)
}

// work: a span with a call in it and a statement, each in a span of its own, the latter one an error.
func (p *program) work(ctx context.Context) error {
	ctx, work := p.span(ctx, "work", trace.WithAttributes(attribute.String("customer", "mürbe \"quoted\"")),
		trace.WithLinks(trace.Link{
			SpanContext: trace.NewSpanContext(trace.SpanContextConfig{
				TraceID: trace.TraceID{1, 2}, SpanID: trace.SpanID{3}, TraceFlags: trace.FlagsSampled,
			}),
			Attributes: []attribute.KeyValue{attribute.Int("of", 7)},
		}))
	defer work.End()
	work.SetAttributes(attribute.Int64("cents", math.MaxInt64), attribute.Float64("share", 0.25),
		attribute.Bool("express", true), attribute.Int64Slice("sizes", []int64{1, 2}))
	work.AddEvent("begun", trace.WithAttributes(attribute.String("by", "test")))

	calling, call := p.span(ctx, "call", trace.WithSpanKind(trace.SpanKindClient))
	request, err := http.NewRequestWithContext(calling, "GET", p.item, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	call.SetStatus(codes.Ok, "")
	call.End()
	if err != nil {
		return err
	}
	answer.Body.Close()

	querying, query := p.span(context.WithValue(ctx, key{}, 1), "query")
	defer query.End()
	if _, err := p.db.ExecContext(querying, "INSERT INTO t VALUES (1)"); err != nil {
		return err
	}
	query.RecordError(errors.New("as is wanted"))
	query.SetStatus(codes.Error, "as is wanted")
	return nil
}

type key struct{}

// after: a span that begins when the one in its context has ended.
func (p *program) after(ctx context.Context) error {
	ended, first := p.span(ctx, "first")
	first.End()
	_, second := p.span(ended, "second")
	second.End()
	// The handler's own context again.
	_, third := p.span(ctx, "third")
	third.End()
	return nil
}

// spawned: a span on a goroutine that has nothing but the context.
func (p *program) spawned(ctx context.Context) error {
	ctx, outer := p.span(ctx, "outer")
	defer outer.End()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, inner := p.span(ctx, "inner")
		inner.End()
	}()
	<-done
	return nil
}

// detached: a span on a goroutine that was there before, with a context of nobody.
func (p *program) detached(context.Context) error {
	done := make(chan struct{})
	p.jobs <- done
	<-done
	return nil
}

func (p *program) worker() {
	for done := range p.jobs {
		ctx, alone := p.span(context.Background(), "alone")
		_, below := p.span(ctx, "below alone")
		below.End()
		alone.End()
		close(done)
	}
}

// large: a span that is too long to be taken, in it one of some kilobytes that is not.
func (p *program) large(ctx context.Context) error {
	ctx, large := p.span(ctx, "too large", trace.WithAttributes(attribute.String("text", strings.Repeat("x", 9000))))
	defer large.End()
	_, fits := p.span(ctx, "fits", trace.WithAttributes(attribute.String("text", strings.Repeat("y", 7000))))
	fits.End()
	return nil
}

// unsaid: a span that the SDK has no text for.
func (p *program) unsaid(ctx context.Context) error {
	_, span := p.span(ctx, "unsaid", trace.WithAttributes(attribute.Float64("number", math.NaN())))
	span.End()
	return nil
}

// open: a span that never ends, with one in it that does.
func (p *program) open(ctx context.Context) error {
	ctx, _ = p.span(ctx, "open")
	_, closed := p.span(ctx, "closed")
	closed.End()
	return nil
}

func main() {
	instrument := flag.Bool("instrument", false, "spans of the calls and requests themselves, as otelhttp makes them")
	flag.Parse()
	db := sql.OpenDB(connector{})
	p := &program{tracer: sdk.TracerProvider().Tracer("shop", trace.WithInstrumentationVersion("1.2.3")), db: db,
		jobs: make(chan chan struct{}), spans: map[string]int{}}
	go p.worker()
	mux := http.NewServeMux()
	handle := func(path string, serve func(context.Context) error) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if err := serve(r.Context()); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
		})
	}
	handle("/work", p.work)
	handle("/after", p.after)
	handle("/spawned", p.spawned)
	handle("/detached", p.detached)
	handle("/large", p.large)
	handle("/unsaid", p.unsaid)
	handle("/open", p.open)
	handle("/item", func(context.Context) error { return nil })
	var handler http.Handler = mux
	if *instrument {
		handler = instrumented(mux)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	p.item = fmt.Sprintf("http://%s/item", listener.Addr())
	http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = 256
	go http.Serve(listener, handler)
	fmt.Println("listening", listener.Addr())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	<-signals
	p.mu.Lock()
	defer p.mu.Unlock()
	truth, _ := json.Marshal(p.spans)
	fmt.Println("truth", string(truth))
}
