package main

import (
	"fmt"
	"io"
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// dump writes the versions of Go and client_golang, a line for each metric of runtime/metrics, and one for each family
// that client_golang makes of them.
func dump(out io.Writer, registry prometheus.Gatherer) error {
	families, err := registry.Gather()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "# %s, client_golang %s\n", runtime.Version(), version("github.com/prometheus/client_golang"))
	fmt.Fprintln(out, "# metric: name, whether cumulative, kind, bounds (or the metric with the same)")
	dumpMetrics(out)
	fmt.Fprintln(out, "# family: name, type, labels, limits of buckets or quantiles")
	for _, family := range families {
		metric := family.GetMetric()[0]
		var labels []string
		var limits []float64
		for _, label := range metric.GetLabel() {
			labels = append(labels, label.GetName())
		}
		for _, bucket := range metric.GetHistogram().GetBucket() {
			limits = append(limits, bucket.GetUpperBound())
		}
		for _, quantile := range metric.GetSummary().GetQuantile() {
			limits = append(limits, quantile.GetQuantile())
		}
		if family.GetType() == dto.MetricType_HISTOGRAM {
			limits = append(limits, math.Inf(1))
		}
		kind := strings.ToLower(family.GetType().String())
		line("family", out, family.GetName(), kind, strings.Join(labels, ","), numbers(limits))
	}
	return nil
}

// dumpMetrics writes what runtime/metrics describes, and where the buckets of its histograms are.
func dumpMetrics(out io.Writer) {
	type histogram struct {
		name   string
		bounds []float64
	}
	var known []histogram
	for _, description := range metrics.All() {
		kind, bounds := "unsigned", ""
		switch description.Kind {
		case metrics.KindFloat64:
			kind = "float"
		case metrics.KindFloat64Histogram:
			kind = "histogram"
			sample := []metrics.Sample{{Name: description.Name}}
			metrics.Read(sample)
			this := histogram{description.Name, sample[0].Value.Float64Histogram().Buckets}
			same := slices.IndexFunc(known, func(other histogram) bool { return slices.Equal(this.bounds, other.bounds) })
			if same >= 0 {
				bounds = known[same].name
			} else {
				bounds = numbers(this.bounds)
				known = append(known, this)
			}
		}
		line("metric", out, description.Name, strconv.FormatBool(description.Cumulative), kind, bounds)
	}
}

// line writes fields with tabs between them.
func line(what string, out io.Writer, fields ...string) {
	fmt.Fprintf(out, "%s\t%s\n", what, strings.Join(fields, "\t"))
}

// version says which version of a module is linked.
func version(module string) string {
	info, _ := debug.ReadBuildInfo()
	if info != nil {
		at := slices.IndexFunc(info.Deps, func(dep *debug.Module) bool { return dep.Path == module })
		if at >= 0 {
			return info.Deps[at].Version
		}
	}
	return "unknown"
}

// numbers are float64s as Prometheus's text format has them.
func numbers(values []float64) string {
	texts := make([]string, len(values))
	for i, value := range values {
		texts[i] = strconv.FormatFloat(value, 'g', -1, 64)
	}
	return strings.Join(texts, " ")
}
