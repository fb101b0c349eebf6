package main

import (
	"context"
	"sync/atomic"
	"time"
)

// tenantContext is a context of the program's own: the one it derives from lies behind other fields.
type tenantContext struct {
	tenant string
	quota  int
	context.Context
}

// twoContexts keeps another request's context besides, which lies before its own.
type twoContexts struct {
	origin context.Context
	context.Context
}

// last is a context of another request, most likely one that is under way.
var last atomic.Pointer[context.Context]

func withOrigin(ctx context.Context) context.Context {
	origin := last.Swap(&ctx)
	if origin == nil {
		origin = &ctx
	}
	return &twoContexts{*origin, ctx}
}

// traceContext is one that is always behind a pointer, with the embedded context first.
type traceContext struct {
	context.Context
	steps []string
}

func (t *traceContext) Value(key any) any {
	if key == (stepsKey{}) {
		return t.steps
	}
	return t.Context.Value(key)
}

type stepsKey struct{}
type numberKey int

// wrapped hands derived contexts to workers of the pool, so that nothing but the context tells whose call this is.
func wrapped(q *request) answer {
	all := map[string]func(context.Context) (context.Context, context.CancelFunc){
		"value":    plain(func(ctx context.Context) context.Context { return context.WithValue(ctx, numberKey(1), "v") }),
		"without":  plain(context.WithoutCancel),
		"struct":   plain(func(ctx context.Context) context.Context { return tenantContext{"t", 3, ctx} }),
		"pointer":  plain(func(ctx context.Context) context.Context { return &tenantContext{"t", 3, ctx} }),
		"override": plain(func(ctx context.Context) context.Context { return &traceContext{ctx, nil} }),
		"two":      plain(withOrigin),
		"cancel":   context.WithCancel,
		"timeout": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Minute)
		},
		"deep": deep,
	}
	for name, derive := range all {
		ctx, cancel := derive(q.ctx)
		q.byPool(ctx, name)
		cancel()
	}
	return byEdge
}

func plain(derive func(context.Context) context.Context) func(context.Context) (context.Context, context.CancelFunc) {
	return func(ctx context.Context) (context.Context, context.CancelFunc) { return derive(ctx), func() {} }
}

// deep derives eleven times, by each way at least once.
func deep(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx = context.WithValue(ctx, numberKey(1), "one")
	ctx = tenantContext{"outer", 1, ctx}
	ctx, first := context.WithTimeout(ctx, time.Minute)
	ctx = &traceContext{ctx, []string{"a", "b"}}
	ctx = context.WithoutCancel(ctx)
	ctx = context.WithValue(ctx, numberKey(2), "two")
	ctx = &tenantContext{"inner", 2, ctx}
	ctx, second := context.WithCancel(ctx)
	ctx = context.WithValue(ctx, numberKey(3), "three")
	ctx = context.WithValue(ctx, numberKey(4), "four")
	ctx, third := context.WithTimeout(ctx, time.Minute)
	return ctx, func() { third(); second(); first() }
}
