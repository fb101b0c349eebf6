package main

import (
	"sort"
	"syscall"
	"time"
)

// report is what the client prints.
type report struct {
	// Sent requests, each written to a connection once, and those whose connection could not be opened (kind dial): the
	// sum of results and errors.
	Sent uint64 `json:"sent"`
	// Answered requests: those with a complete response.
	Answered uint64 `json:"answered"`
	// Errors: requests without a complete response, and connections that could not be opened (kind dial).
	Errors uint64 `json:"errors"`
	// Unexpected statuses and errors, by the mix.
	Unexpected  uint64       `json:"unexpected"`
	Seconds     float64      `json:"seconds"`
	Rate        float64      `json:"rate"`
	CPUSeconds  float64      `json:"cpu_seconds"`
	Connections uint64       `json:"connections"`
	BodyBytes   uint64       `json:"body_bytes"`
	Results     []result     `json:"results"`
	ErrorKinds  []errorCount `json:"error_kinds"`
	// LatencyUS counts from sending, ScheduledUS (with -rate) from when the request was due.
	LatencyUS   *percentiles `json:"latency_us"`
	ScheduledUS *percentiles `json:"scheduled_us,omitempty"`
	Traces      *traces      `json:"traceparent,omitempty"`
}

type result struct {
	Method string `json:"method"`
	Path   string `json:"path"` // as in the mix
	Status int    `json:"status"`
	Count  uint64 `json:"count"`
}

type errorCount struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	Kind   string `json:"kind"`
	Count  uint64 `json:"count"`
	Sample string `json:"sample"`
}

type traces struct {
	Sent   uint64      `json:"sent"`
	Values []sentTrace `json:"values"`
}

func summarize(p *plan, workers []*worker, conns []connection, took time.Duration) *report {
	r := &report{Seconds: took.Seconds(), Results: []result{}, ErrorKinds: []errorCount{}}
	var lat, scheduled latency
	statuses, errs, samples := map[statusKey]uint64{}, map[errorKey]uint64{}, map[errorKey]string{}
	tr := &traces{Values: []sentTrace{}}
	for _, w := range workers {
		r.Sent += w.sent
		r.Unexpected += w.surprises
		lat.merge(&w.lat)
		scheduled.merge(&w.scheduled)
		for k, n := range w.statuses {
			statuses[k] += n
		}
		for k, n := range w.errors {
			errs[k] += n
			samples[k] = w.samples[k]
		}
		tr.Sent += w.traced
		if room := p.opts.traceCap - len(tr.Values); room > 0 {
			if room > len(w.traces) {
				room = len(w.traces)
			}
			tr.Values = append(tr.Values, w.traces[:room]...)
		}
	}
	for k, n := range statuses {
		e := p.mix[k.entry]
		r.Results = append(r.Results, result{e.Method, e.Path, k.status, n})
		r.Answered += n
	}
	for k, n := range errs {
		e := p.mix[k.entry]
		r.ErrorKinds = append(r.ErrorKinds, errorCount{e.Method, e.Path, k.kind, n, samples[k]})
		r.Errors += n
	}
	sort.Slice(r.Results, func(i, j int) bool {
		a, b := r.Results[i], r.Results[j]
		if a.Path != b.Path {
			return a.Path < b.Path
		}
		if a.Method != b.Method {
			return a.Method < b.Method
		}
		return a.Status < b.Status
	})
	sort.Slice(r.ErrorKinds, func(i, j int) bool {
		a, b := r.ErrorKinds[i], r.ErrorKinds[j]
		return a.Path+a.Method+a.Kind < b.Path+b.Method+b.Kind
	})
	for _, c := range conns {
		opened, read := c.stats()
		r.Connections += opened
		r.BodyBytes += read
		c.close()
	}
	if took > 0 {
		r.Rate = float64(r.Sent) / took.Seconds()
	}
	r.LatencyUS, r.ScheduledUS = lat.percentiles(), scheduled.percentiles()
	if p.opts.traceRatio > 0 {
		r.Traces = tr
	}
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) == nil {
		r.CPUSeconds = float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
	}
	return r
}
