// Exposes what client_golang's collectors say of the process: the Go collector with all of runtime/metrics, the process
// collector and the build info collector. With -dump it writes down their families and buckets instead, and ends.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func main() {
	list := flag.Bool("dump", false, "write down families, types, labels and buckets, and end")
	flag.Parse()
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(collectors.MetricsAll)),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewBuildInfoCollector(),
	)
	runtime.GC()
	if *list {
		if err := dump(os.Stdout, registry); err != nil {
			log.Fatal(err)
		}
		return
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	fmt.Printf("listening %s\npid %d\n", listener.Addr(), os.Getpid())
	log.Fatal(http.Serve(listener, nil))
}
