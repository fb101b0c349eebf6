package main

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"time"
)

// values are what is said; everything is allocated before.
type values struct {
	samples []metrics.Sample
	memory  runtime.MemStats
	gc      debug.GCStats
	answer  []byte
}

func newValues() *values {
	v := &values{answer: make([]byte, 0, 1<<20)}
	for _, description := range metrics.All() {
		v.samples = append(v.samples, metrics.Sample{Name: description.Name})
	}
	v.gc.Pause = make([]time.Duration, 0, 600)
	v.gc.PauseEnd = make([]time.Time, 0, 600)
	v.gc.PauseQuantiles = make([]time.Duration, 5)
	// Twice, so that whatever is made at first use is there.
	v.read(true)
	v.read(true)
	return v
}

// read formats the values; with those of ReadMemStats, which stops the world and empties the caches of the processors.
func (v *values) read(withMemory bool) {
	if withMemory {
		// This one allocates, for sorting, and so comes first.
		debug.ReadGCStats(&v.gc)
		runtime.ReadMemStats(&v.memory)
	}
	metrics.Read(v.samples)
	v.answer = append(v.answer[:0], `{"metrics":{`...)
	for i := range v.samples {
		if i > 0 {
			v.answer = append(v.answer, ',')
		}
		v.name(v.samples[i].Name)
		v.value(&v.samples[i].Value)
	}
	v.answer = append(v.answer, '}')
	if withMemory {
		v.memStats()
		v.pauses()
	}
	created, _ := runtime.ThreadCreateProfile(nil)
	v.field("threads", uint64(created))
	v.field("cpus", uint64(runtime.NumCPU()))
	v.field("goroutines", uint64(runtime.NumGoroutine()))
	v.answer = append(v.answer, '}')
}

func (v *values) name(name string) {
	v.answer = append(v.answer, '"')
	v.answer = append(v.answer, name...)
	v.answer = append(v.answer, '"', ':')
}

func (v *values) field(name string, value uint64) {
	v.answer = append(v.answer, ',')
	v.name(name)
	v.answer = strconv.AppendUint(v.answer, value, 10)
}

func (v *values) float(value float64) {
	switch {
	case math.IsInf(value, 1):
		v.answer = append(v.answer, `"+Inf"`...)
	case math.IsInf(value, -1):
		v.answer = append(v.answer, `"-Inf"`...)
	default:
		// A fraction even if it is whole, so that readers take it as one.
		v.answer = strconv.AppendFloat(v.answer, value, 'e', -1, 64)
	}
}

func (v *values) value(value *metrics.Value) {
	switch value.Kind() {
	case metrics.KindUint64:
		v.answer = strconv.AppendUint(v.answer, value.Uint64(), 10)
	case metrics.KindFloat64:
		v.float(value.Float64())
	case metrics.KindFloat64Histogram:
		histogram := value.Float64Histogram()
		v.answer = append(v.answer, `{"bounds":[`...)
		for i, bound := range histogram.Buckets {
			if i > 0 {
				v.answer = append(v.answer, ',')
			}
			v.float(bound)
		}
		v.answer = append(v.answer, `],"counts":[`...)
		for i, count := range histogram.Counts {
			if i > 0 {
				v.answer = append(v.answer, ',')
			}
			v.answer = strconv.AppendUint(v.answer, count, 10)
		}
		v.answer = append(v.answer, ']', '}')
	default:
		v.answer = append(v.answer, "null"...)
	}
}

func (v *values) memStats() {
	m := &v.memory
	v.answer = append(v.answer, `,"memstats":{"Lookups":0`...)
	for _, field := range [...]struct {
		name  string
		value uint64
	}{
		{"Alloc", m.Alloc}, {"TotalAlloc", m.TotalAlloc}, {"Sys", m.Sys}, {"Mallocs", m.Mallocs}, {"Frees", m.Frees},
		{"HeapSys", m.HeapSys}, {"HeapIdle", m.HeapIdle}, {"HeapInuse", m.HeapInuse}, {"HeapReleased", m.HeapReleased},
		{"HeapObjects", m.HeapObjects}, {"StackInuse", m.StackInuse}, {"StackSys", m.StackSys},
		{"MSpanInuse", m.MSpanInuse}, {"MSpanSys", m.MSpanSys}, {"MCacheInuse", m.MCacheInuse},
		{"MCacheSys", m.MCacheSys}, {"BuckHashSys", m.BuckHashSys}, {"GCSys", m.GCSys}, {"OtherSys", m.OtherSys},
		{"NextGC", m.NextGC}, {"LastGC", m.LastGC}, {"PauseTotalNs", m.PauseTotalNs}, {"NumGC", uint64(m.NumGC)},
		{"NumForcedGC", uint64(m.NumForcedGC)},
	} {
		v.field(field.name, field.value)
	}
	v.answer = append(v.answer, '}')
}

func (v *values) pauses() {
	v.answer = append(v.answer, `,"pauses":[`...)
	for i := range v.gc.Pause {
		if i > 0 {
			v.answer = append(v.answer, ',')
		}
		v.answer = append(v.answer, '[')
		v.answer = strconv.AppendInt(v.answer, int64(v.gc.Pause[i]), 10)
		v.answer = append(v.answer, ',')
		v.answer = strconv.AppendInt(v.answer, v.gc.PauseEnd[i].UnixNano(), 10)
		v.answer = append(v.answer, ']')
	}
	v.answer = append(v.answer, `],"quantiles":[`...)
	for i, quantile := range v.gc.PauseQuantiles {
		if i > 0 {
			v.answer = append(v.answer, ',')
		}
		v.answer = strconv.AppendInt(v.answer, int64(quantile), 10)
	}
	v.answer = append(v.answer, ']')
}
