// Client sends an exact mix of HTTP requests over a given number of connections, counts what came back, and prints it
// as one JSON object.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"trigon.dev/tests/programs/ports"
)

type options struct {
	host, hostname string
	tls, h2        bool
	insecure       bool
	keepalive      bool
	connections    int
	streams        int
	rate           float64
	duration       time.Duration
	timeout        time.Duration
	dialer         *net.Dialer
	seed           int64
	traceRatio     float64
	traceCap       int
	tracestate     string
	n              int
	mixFile        string
	strict         bool
}

// timedSequence is how many requests of the mix a run bounded by time repeats.
const timedSequence = 1 << 16

func parse() (*options, error) {
	o := &options{}
	var target, portRange string
	var h2, h2c bool
	flag.StringVar(&target, "url", "", "server, for example http://127.0.0.1:8080 (required)")
	flag.IntVar(&o.n, "n", 1000, "requests to send, exactly")
	flag.DurationVar(&o.duration, "d", 0, "send for this long instead of -n requests")
	flag.IntVar(&o.connections, "c", 1, "connections")
	flag.IntVar(&o.streams, "streams", 1, "HTTP/2: concurrent streams on each connection")
	flag.Float64Var(&o.rate, "rate", 0, "requests per second over all connections; 0 sends as fast as answers come")
	flag.StringVar(&o.mixFile, "mix", "", "JSON file with the mix of requests; without it GET /hello")
	flag.BoolVar(&h2, "h2", false, "HTTP/2 over TLS")
	flag.BoolVar(&h2c, "h2c", false, "HTTP/2 without TLS, with prior knowledge")
	flag.BoolVar(&o.insecure, "insecure", false, "do not verify the server's certificate")
	flag.BoolVar(&o.keepalive, "keepalive", true, "reuse connections")
	flag.Float64Var(&o.traceRatio, "traceparent", 0, "share of requests with a traceparent, 0 to 1")
	flag.IntVar(&o.traceCap, "traceparent-cap", 100, "how many of the sent traceparents to print")
	flag.StringVar(&o.tracestate, "tracestate", "", "tracestate to send with each traceparent")
	flag.Int64Var(&o.seed, "seed", 1, "order of the mix and the trace ids")
	flag.DurationVar(&o.timeout, "timeout", 30*time.Second, "longest wait for one request")
	flag.StringVar(&portRange, "ports", "", "local ports to connect from, LOW-HIGH (Linux 6.3)")
	flag.BoolVar(&o.strict, "strict", false, "exit 1 when a status or an error was not expected by the mix")
	flag.Parse()
	u, err := url.Parse(target)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("-url %q: want http://HOST:PORT or https://HOST:PORT", target)
	}
	if o.dialer, err = ports.Dialer(o.timeout, portRange); err != nil {
		return nil, err
	}
	o.host, o.hostname, o.tls, o.h2 = u.Host, u.Hostname(), u.Scheme == "https", h2 || h2c
	switch {
	case u.Port() == "":
		return nil, errors.New("-url: a port is needed")
	case h2 && !o.tls:
		return nil, errors.New("-h2 needs an https URL; -h2c is HTTP/2 without TLS")
	case h2c && o.tls:
		return nil, errors.New("-h2c needs an http URL")
	case o.n < 1 || o.connections < 1 || o.streams < 1 || o.rate < 0 || flag.NArg() > 0:
		return nil, errors.New("-n, -c and -streams must be positive, and there are no arguments")
	}
	return o, nil
}

func main() {
	o, err := parse()
	if err == nil {
		err = run(o)
	}
	if errors.Is(err, errSurprised) {
		os.Exit(1)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(2)
	}
}

var errSurprised = errors.New("a status or an error was not expected")

func run(o *options) error {
	mix, err := loadMix(o.mixFile)
	if err != nil {
		return err
	}
	n := o.n
	if o.duration > 0 {
		n = timedSequence
	}
	seq, err := order(mix, n, o.seed)
	if err != nil {
		return err
	}
	p := &plan{opts: o, mix: mix, seq: seq}
	var workers []*worker
	var conns []connection
	for i := 0; i < o.connections; i++ {
		var conn connection = &http1{opts: o}
		streams := 1
		if o.h2 {
			if conn, err = newHTTP2(o); err != nil {
				return err
			}
			streams = o.streams
		}
		conns = append(conns, conn)
		for s := 0; s < streams; s++ {
			workers = append(workers, newWorker(p, conn, o.traceCap))
		}
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, syscall.SIGINT, syscall.SIGTERM)
	go func() { <-interrupted; p.stop.Store(true) }()
	if o.duration > 0 {
		time.AfterFunc(o.duration, func() { p.stop.Store(true) })
	}
	var group sync.WaitGroup
	p.start = time.Now()
	for _, w := range workers {
		group.Add(1)
		go func(w *worker) { defer group.Done(); w.run() }(w)
	}
	group.Wait()
	r := summarize(p, workers, conns, time.Since(p.start))
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(r); err != nil {
		return err
	}
	if o.strict && r.Unexpected > 0 {
		return errSurprised
	}
	return nil
}
