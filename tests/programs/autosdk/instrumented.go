package main

import (
	"net/http"

	"go.opentelemetry.io/auto/sdk"
	"go.opentelemetry.io/otel/trace"
)

// By this name otelhttp makes its spans.
const scope = "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

type transport struct{ tracer trace.Tracer }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, span := t.tracer.Start(r.Context(), "instrumented client", trace.WithSpanKind(trace.SpanKindClient))
	defer span.End()
	return (&http.Transport{DisableKeepAlives: true}).RoundTrip(r.WithContext(ctx))
}

// instrumented is a handler, and makes the default client one, that has spans of requests and calls.
func instrumented(next http.Handler) http.Handler {
	tracer := sdk.TracerProvider().Tracer(scope)
	http.DefaultClient = &http.Client{Transport: transport{tracer}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, span := tracer.Start(r.Context(), "instrumented server", trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}
