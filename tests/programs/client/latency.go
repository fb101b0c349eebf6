package main

import "math/bits"

// Log-linear buckets: 128 to each power of two of nanoseconds, so a percentile is at most 0.8 % too high.
const (
	subBits   = 7
	subCount  = 1 << subBits
	latencies = (64 - subBits) * subCount
)

type latency struct {
	counts [latencies]uint64
	n, sum uint64
	max    uint64
}

func (l *latency) add(ns int64) {
	if ns < 0 {
		ns = 0
	}
	v := uint64(ns)
	l.counts[bucket(v)]++
	l.n++
	l.sum += v
	if v > l.max {
		l.max = v
	}
}

func bucket(v uint64) int {
	if v < subCount {
		return int(v)
	}
	shift := bits.Len64(v) - subBits - 1
	return (shift+1)*subCount + int(v>>shift) - subCount
}

// upper is the largest value of a bucket.
func upper(i int) uint64 {
	if i < subCount {
		return uint64(i)
	}
	shift := i/subCount - 1
	return (uint64(i%subCount+subCount)+1)<<shift - 1
}

func (l *latency) merge(o *latency) {
	for i, c := range o.counts {
		l.counts[i] += c
	}
	l.n += o.n
	l.sum += o.sum
	if o.max > l.max {
		l.max = o.max
	}
}

func (l *latency) quantile(q float64) float64 {
	rank := uint64(q*float64(l.n)) + 1
	var seen uint64
	for i, c := range l.counts {
		if seen += c; seen >= rank {
			v := upper(i)
			if v > l.max {
				v = l.max
			}
			return float64(v) / 1e3
		}
	}
	return float64(l.max) / 1e3
}

// percentiles are microseconds.
type percentiles struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

func (l *latency) percentiles() *percentiles {
	if l.n == 0 {
		return nil
	}
	return &percentiles{
		Mean: float64(l.sum) / float64(l.n) / 1e3,
		P50:  l.quantile(0.5), P90: l.quantile(0.9), P99: l.quantile(0.99), P999: l.quantile(0.999),
		Max: float64(l.max) / 1e3,
	}
}
