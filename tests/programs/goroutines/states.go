package main

import (
	"context"
	"net"
	"os"
	"runtime"
	"runtime/pprof"
	"sort"
	"strconv"
	"sync"
	"syscall"
	"time"
)

func states() {
	channels()
	locks()
	waits()
	calls()
	labels()
	for _, more := range also {
		more()
	}
}

// also has what only some builds have.
var also []func()

func channels() {
	empty, full := make(chan int), make(chan int)
	var none chan int
	start(func(reached func()) { reached(); <-empty })
	start(func(reached func()) { reached(); full <- 1 })
	start(func(reached func()) { reached(); <-none })
	start(func(reached func()) { reached(); none <- 1 })
	start(func(reached func()) { reached(); select {} })
	start(func(reached func()) {
		reached()
		select {
		case <-empty:
		case full <- 1:
		case <-time.After(time.Hour):
		}
	})
	start(func(reached func()) {
		reached()
		for range empty {
		}
	})
}

func locks() {
	var mutex sync.Mutex
	var readWrite, read sync.RWMutex
	mutex.Lock()
	readWrite.Lock()
	read.RLock()
	start(func(reached func()) { reached(); mutex.Lock() })
	start(func(reached func()) { reached(); readWrite.RLock() })
	start(func(reached func()) { reached(); readWrite.Lock() })
	start(func(reached func()) { reached(); read.Lock() })
	var one sync.Once
	first, inside := make(chan int), make(chan int)
	start(func(reached func()) {
		one.Do(func() { reached(); close(first); <-inside })
	})
	// Its first one waits inside; the second one waits for the first.
	start(func(reached func()) { <-first; reached(); one.Do(func() {}) })
}

func waits() {
	var mutex sync.Mutex
	condition := sync.NewCond(&mutex)
	start(func(reached func()) { mutex.Lock(); reached(); condition.Wait() })
	var group sync.WaitGroup
	group.Add(1)
	start(func(reached func()) { reached(); group.Wait() })
	start(func(reached func()) { reached(); time.Sleep(time.Hour) })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	start(func(reached func()) { reached(); listener.Accept() })
	reader, _, err := os.Pipe()
	must(err)
	start(func(reached func()) { reached(); reader.Read(make([]byte, 8)) })
	// A system call that blocks its thread.
	var blocking [2]int
	must(syscall.Pipe(blocking[:]))
	start(func(reached func()) { reached(); syscall.Read(blocking[0], make([]byte, 8)) })
	start(func(reached func()) { runtime.LockOSThread(); reached(); select {} })
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// block is where most of them stay.
//
//go:noinline
func block(reached func()) {
	reached()
	select {}
}

func inlinedOnce(reached func())  { block(reached) }
func inlinedTwice(reached func()) { inlinedOnce(reached) }
func inlinedThrice(reached func()) {
	inlinedTwice(reached)
}

type receiver struct{ n int }

func (r receiver) value(reached func())    { block(reached) }
func (r *receiver) pointer(reached func()) { r.value(reached) }

type blocker interface{ value(func()) }

var indirect blocker = &receiver{3}

type list[T any] struct{ items []T }

func (l *list[T]) each(do func(T)) {
	for _, item := range l.items {
		do(item)
	}
}

//go:noinline
func generic[K comparable, V any](_ map[K]V, reached func()) { block(reached) }

//go:noinline
func recurse(depth int, reached func()) int {
	if depth == 0 {
		block(reached)
	}
	return recurse(depth-1, reached) + 1
}

//go:noinline
func mutual(depth int, reached func()) int {
	if depth%2 == 0 {
		return recurse(depth/2, reached)
	}
	return mutual(depth-1, reached)
}

func calls() {
	start(inlinedThrice)
	start((&receiver{1}).pointer)
	start(receiver{2}.value)
	start(func(reached func()) { indirect.value(reached) })
	start(func(reached func()) { generic(map[string][]int{}, reached) })
	start(func(reached func()) { generic(map[receiver]*receiver{}, reached) })
	start(func(reached func()) {
		(&list[struct{ a, b string }]{make([]struct{ a, b string }, 1)}).each(func(struct{ a, b string }) { block(reached) })
	})
	// Within what a traceback shows of a stack, just beyond it, and far beyond it.
	for _, depth := range []int{20, 98, 99, 100, 101, 150, 5000, 40000} {
		depth := depth
		start(func(reached func()) { recurse(depth, reached) })
	}
	start(func(reached func()) { mutual(301, reached) })
	start(func(reached func()) {
		defer func() { block(reached) }()
	})
	start(func(reached func()) {
		defer func() {
			recover()
			block(reached)
		}()
		var nothing *receiver
		nothing.n = 1
	})
	start(func(reached func()) {
		defer func() {
			block(reached)
		}()
		panic("on purpose")
	})
	start(func(reached func()) {
		sort.Slice([]int{2, 1}, func(_, _ int) bool { block(reached); return false })
	})
	start(func(reached func()) {
		// A goroutine that creates one, and one of that.
		inner := make(chan int)
		go func() {
			go func() { block(reached) }()
			<-inner
		}()
		<-inner
	})
	timer := make(chan int)
	started.Add(1)
	time.AfterFunc(time.Millisecond, func() { started.Done(); <-timer })
}

func labels() {
	with := func(pairs ...string) {
		start(func(reached func()) {
			pprof.Do(context.Background(), pprof.Labels(pairs...), func(context.Context) { block(reached) })
		})
	}
	with("one", "1")
	with("b", "2", "a", "1", "empty", "")
	with("text", "with \"quotes\", ünïcode and {braces}")
	var many []string
	for i := 0; i < 40; i++ {
		many = append(many, "key"+strconv.Itoa(i), "value "+strconv.Itoa(i*i))
	}
	with(many...)
	start(func(reached func()) {
		pprof.Do(context.Background(), pprof.Labels("outer", "1", "both", "outer"), func(ctx context.Context) {
			pprof.Do(ctx, pprof.Labels("inner", "2", "both", "inner"), func(context.Context) {
				// Children have their creator's labels.
				go block(reached)
				select {}
			})
		})
	})
}
