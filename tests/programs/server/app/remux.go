package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"
)

// How hard remux looks for an address that an earlier pattern had.
const (
	reuseRounds  = 20
	reuseStrings = 4096
)

type generation struct {
	mux     *http.ServeMux
	number  int
	path    string
	address uintptr
	reused  bool
}

type routes struct {
	current atomic.Pointer[generation]
	mu      sync.Mutex
	used    map[uintptr]bool
}

// remux replaces the mux of /re/ by one with a new pattern on the heap, of the same length as all before it. The first
// freed address of an earlier pattern that the allocator hands out again is taken.
func (a *routes) remux() *generation {
	a.mu.Lock()
	defer a.mu.Unlock()
	number := 1
	if old := a.current.Load(); old != nil {
		number = old.number + 1
	}
	if a.used == nil {
		a.used = map[uintptr]bool{}
	}
	// Drop the old mux before the search: its pattern's memory can only be reused when nothing refers to it.
	a.current.Store(&generation{mux: http.NewServeMux(), number: number})
	pattern, reused := a.pattern(number)
	next := &generation{
		mux:     http.NewServeMux(),
		number:  number,
		path:    strings.Clone(strings.TrimPrefix(pattern, "GET ")),
		address: uintptr(unsafe.Pointer(unsafe.StringData(pattern))),
		reused:  reused,
	}
	handle(next.mux, pattern, items)
	a.used[next.address] = true
	a.current.Store(next)
	return next
}

// pattern returns `GET /re/gNNNNNN/items/{id}` on the heap, at an address of an earlier one if there is one to be had.
func (a *routes) pattern(number int) (string, bool) {
	build := func() string { return onHeap("GET /re/", fmt.Sprintf("g%06d", number), "/items/{id}") }
	for round := 0; round < reuseRounds && len(a.used) > 0; round++ {
		runtime.GC()
		// All strings of the round stay alive, so that each has another address.
		held := make([]string, 0, reuseStrings)
		for i := 0; i < reuseStrings; i++ {
			s := build()
			if a.used[uintptr(unsafe.Pointer(unsafe.StringData(s)))] {
				return s, true
			}
			held = append(held, s)
		}
		runtime.KeepAlive(held)
	}
	return build(), false
}

func (a *routes) serveRemux(w http.ResponseWriter, _ *http.Request) {
	g := a.remux()
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{
		"generation": g.number,
		"route":      g.path,
		"path":       strings.Replace(g.path, "{id}", "1", 1),
		"address":    fmt.Sprintf("%#x", g.address),
		"reused":     g.reused,
	})
}
