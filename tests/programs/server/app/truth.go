// Package app is the test server's routes and its own exact count of what it served, independent of how it listens.
package app

import (
	"encoding/json"
	"net/http"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
)

// How a handler ended.
const (
	EndReturn = "return" // the handler returned
	EndPanic  = "panic"  // it panicked with a value of its own
	EndAbort  = "abort"  // it panicked with http.ErrAbortHandler
	EndHijack = "hijack" // it took the connection over
)

// Key is what requests are counted by.
type Key struct {
	Method string `json:"method"`
	// Route is the path template of the pattern that the mux put into the server's own request: without method and
	// host, and empty when no pattern matched or when only a copy of the request was matched.
	Route string `json:"route"`
	// CopiedRoute is the template that matched a copy of the request and that the server's own request does not have.
	CopiedRoute string `json:"copied_route,omitempty"`
	// Status is the final status written through the ResponseWriter; 0 if the handler ended before any was written.
	Status int    `json:"status"`
	End    string `json:"end"`
	Proto  string `json:"proto"`
}

// Row is one key with its count and the bytes of all its response bodies.
type Row struct {
	Key
	Count uint64 `json:"count"`
	Bytes uint64 `json:"bytes"`
}

// Report is what the server says about itself.
type Report struct {
	// Patterns tells whether the mux is that of Go 1.22, the first that leaves a pattern in the request.
	Patterns    bool   `json:"patterns"`
	Connections uint64 `json:"connections"`
	Total       uint64 `json:"total"`
	Rows        []Row  `json:"rows"`
}

type tally struct{ count, bytes uint64 }

// Truth counts requests exactly.
type Truth struct {
	connections atomic.Uint64
	mu          sync.Mutex
	rows        map[Key]*tally
}

// Connection counts one accepted connection.
func (t *Truth) Connection() { t.connections.Add(1) }

func (t *Truth) add(k Key, bytes uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	row := t.rows[k]
	if row == nil {
		// The route may be part of a pattern on the heap. A clone lets the pattern's memory be freed and reused, which
		// is what /remux is there to provoke.
		k.Route, k.CopiedRoute = strings.Clone(k.Route), strings.Clone(k.CopiedRoute)
		k.Method = strings.Clone(k.Method)
		row = &tally{}
		t.rows[k] = row
	}
	row.count++
	row.bytes += bytes
}

// Report returns the counts so far, in a stable order.
func (t *Truth) Report() Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	report := Report{Patterns: Patterns, Connections: t.connections.Load(), Rows: []Row{}}
	for k, n := range t.rows {
		report.Rows = append(report.Rows, Row{k, n.count, n.bytes})
		report.Total += n.count
	}
	sort.Slice(report.Rows, func(i, j int) bool {
		a, b := report.Rows[i].Key, report.Rows[j].Key
		switch {
		case a.Route != b.Route:
			return a.Route < b.Route
		case a.CopiedRoute != b.CopiedRoute:
			return a.CopiedRoute < b.CopiedRoute
		case a.Method != b.Method:
			return a.Method < b.Method
		case a.Status != b.Status:
			return a.Status < b.Status
		case a.End != b.End:
			return a.End < b.End
		}
		return a.Proto < b.Proto
	})
	return report
}

// JSON is the report on one line.
func (t *Truth) JSON() string {
	text, err := json.Marshal(t.Report())
	if err != nil {
		return `{"error":"` + err.Error() + `"}`
	}
	return string(text)
}

// count is the outermost handler: whatever happens below, one request is one count.
func (t *Truth) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &recorder{ResponseWriter: w}
		// No recover: a panic goes on to net/http exactly as it would without this handler.
		defer func() {
			end := rec.end
			if end == "" {
				end = EndPanic
			}
			k := Key{Method: r.Method, Status: rec.status, End: end, Proto: r.Proto}
			if rec.copied {
				k.CopiedRoute = rec.route
			} else {
				k.Route = rec.route
			}
			t.add(k, rec.bytes)
		}()
		next.ServeHTTP(rec, r)
		if rec.end == "" {
			rec.end = EndReturn
		}
		if rec.end == EndReturn && rec.status == 0 {
			rec.status = http.StatusOK
		}
	})
}
