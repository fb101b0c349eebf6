// Load sends the shop a steady mix of requests. The same seed gives the same requests in the same order.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

// patience is how long the target may take to come up.
const patience = 10 * time.Second

func main() {
	target := flag.String("target", "http://127.0.0.1:8080", "the front service")
	rate := flag.Float64("rate", 200, "requests per second")
	connections := flag.Int("connections", 16, "connections, and so the most requests at a time")
	duration := flag.Duration("duration", 20*time.Second, "how long; 0 is until SIGINT or SIGTERM")
	seed := flag.Int64("seed", 1, "which requests")
	flag.Parse()
	if *rate <= 0 || *connections < 1 || *duration < 0 || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "load: -rate and -connections must be positive, -duration not negative")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if *duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, *duration)
		defer cancel()
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxConnsPerHost, transport.MaxIdleConnsPerHost = *connections, *connections
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	if err := wait(ctx, client, *target); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
	begin := time.Now()
	s := run(ctx, client, *target, *rate, *connections, newMix(*seed))
	s.print(os.Stdout, time.Since(begin))
}

// wait returns when the target answers.
func wait(ctx context.Context, client *http.Client, target string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, target+"/healthz", nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err == nil {
			resp.Body.Close()
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w", target, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// run keeps to the rate as long as there is a free connection, and catches up when there was none.
func run(ctx context.Context, client *http.Client, target string, rate float64, connections int, m *mix) *summary {
	s := newSummary()
	jobs := make(chan job)
	var workers sync.WaitGroup
	for i := 0; i < connections; i++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for j := range jobs {
				begin := time.Now()
				status, err := send(client, target, j)
				s.add(j, status, err, time.Since(begin))
			}
		}()
	}
	begin := time.Now()
	for n := 0; ctx.Err() == nil; n++ {
		due := begin.Add(time.Duration(float64(n) / rate * float64(time.Second)))
		select {
		case <-ctx.Done():
		case <-time.After(time.Until(due)):
			select {
			case jobs <- m.next():
			case <-ctx.Done():
			}
		}
	}
	close(jobs)
	workers.Wait()
	return s
}

// send has no context on purpose: at the end, requests in flight are waited for and not broken off.
func send(client *http.Client, target string, j job) (int, error) {
	// A body that the transport cannot rewind, even an empty one, keeps it from sending a request again when a handler
	// panicked: the summary would not know of the second.
	req, err := http.NewRequest(j.method, target+j.path, io.NopCloser(strings.NewReader(j.body)))
	if err != nil {
		return 0, err
	}
	req.ContentLength = int64(len(j.body))
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, errors.Join(err, resp.Body.Close())
}
