// Kafka is an HTTP server whose handlers send and receive messages by three client libraries, each a known number.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// A handler gets how many messages it is to receive, if it does that.
type handler func(ctx context.Context, n int) error

var number atomic.Uint64

// parent is a value of the header traceparent that no other message has: 1, 2, 3 in hexadecimal digits.
func parent() string {
	n := number.Add(1)
	return fmt.Sprintf("00-%032x-%016x-01", n, n)
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func wanted(err error) error {
	if err == nil {
		return fmt.Errorf("there was no error")
	}
	return nil
}

// soon gives up after a moment: a broker may not even answer to a topic that is none.
func soon(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	return f(ctx)
}

// panics: whether it does.
func panics(f func()) (did bool) {
	defer func() { did = recover() != nil }()
	f()
	return false
}

func main() {
	broker := flag.String("broker", "", "host:port")
	library := flag.String("library", "", "kafka-go, franz or sarama")
	flag.Parse()
	var handlers map[string]handler
	switch *library {
	case "kafka-go":
		handlers = kafkaGo(*broker)
	case "franz":
		handlers = franz(*broker)
	case "sarama":
		handlers = saramas(*broker)
	}
	for path, run := range handlers {
		run := run
		http.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			n, _ := strconv.Atoi(r.URL.Query().Get("n"))
			if err := run(r.Context(), n); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
		})
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go http.Serve(listener, nil)
	fmt.Println("listening", listener.Addr())
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
}
