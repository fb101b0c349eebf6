package main

import (
	"fmt"
	"io"
	"sort"
	"sync"
	"text/tabwriter"
	"time"
)

type line struct {
	ok, client, server, broken int
	took                       []time.Duration
}

// summary counts answers by method and route.
type summary struct {
	mu    sync.Mutex
	lines map[string]*line
}

func newSummary() *summary { return &summary{lines: map[string]*line{}} }

func (s *summary) add(j job, status int, err error, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := j.method + " " + j.route
	l := s.lines[key]
	if l == nil {
		l = &line{}
		s.lines[key] = l
	}
	switch {
	case err != nil:
		l.broken++
	case status >= 500:
		l.server++
	case status >= 400:
		l.client++
	default:
		l.ok++
	}
	l.took = append(l.took, took)
}

func (s *summary) print(w io.Writer, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := make([]string, 0, len(s.lines))
	total := &line{}
	for key, l := range s.lines {
		keys = append(keys, key)
		total.ok += l.ok
		total.client += l.client
		total.server += l.server
		total.broken += l.broken
		total.took = append(total.took, l.took...)
	}
	sort.Strings(keys)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "REQUEST\tSENT\tOK\t4XX\t5XX\tBROKEN\tP50\tP99")
	for _, key := range keys {
		s.lines[key].print(t, key)
	}
	total.print(t, "total")
	t.Flush()
	fmt.Fprintf(w, "%d requests in %.1f s, %.1f per second\n", len(total.took), took.Seconds(),
		float64(len(total.took))/took.Seconds())
}

func (l *line) print(w io.Writer, name string) {
	sort.Slice(l.took, func(i, j int) bool { return l.took[i] < l.took[j] })
	at := func(q float64) time.Duration {
		if len(l.took) == 0 {
			return 0
		}
		return l.took[int(q*float64(len(l.took)-1))].Round(10 * time.Microsecond)
	}
	fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%v\t%v\n", name, len(l.took), l.ok, l.client, l.server, l.broken,
		at(0.5), at(0.99))
}
