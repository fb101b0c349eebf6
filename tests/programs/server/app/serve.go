package app

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
	"time"
)

// shutdownTime bounds the wait for requests in flight at SIGTERM.
const shutdownTime = 10 * time.Second

// Flags are those that all servers of this package share.
type Flags struct {
	Listen     string
	Mode       string
	CPUProfile string
	Verbose    bool
}

// Parse reads the command line; modes is what -mode accepts, the default first.
func Parse(modes string) Flags {
	var f Flags
	flag.StringVar(&f.Listen, "listen", "127.0.0.1:0", "address to listen on; port 0 takes a free one")
	flag.StringVar(&f.Mode, "mode", "", "protocol: "+modes)
	flag.StringVar(&f.CPUProfile, "cpuprofile", "", "write a CPU profile of the whole run to this file (for -pgo)")
	flag.BoolVar(&f.Verbose, "verbose", false, "log what net/http logs, panics among it")
	flag.Parse()
	return f
}

// Run serves until SIGTERM or SIGINT. It prints `listening ADDR` and `pid N`, at SIGUSR1 `truth JSON`, and at the end,
// when no request is in flight any more, `truth JSON` once more.
func Run(f Flags, srv *http.Server, truth *Truth, serve func(net.Listener) error) error {
	if f.CPUProfile != "" {
		file, err := os.Create(f.CPUProfile)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	if !f.Verbose {
		srv.ErrorLog = log.New(io.Discard, "", 0)
	}
	srv.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			truth.Connection()
		}
	}
	listener, err := net.Listen("tcp", f.Listen)
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1)
	failed := make(chan error, 1)
	go func() { failed <- serve(listener) }()
	fmt.Printf("listening %s\npid %d\n", listener.Addr(), os.Getpid())
	for {
		select {
		case err := <-failed:
			return err
		case s := <-signals:
			if s == syscall.SIGUSR1 {
				fmt.Println("truth " + truth.JSON())
				continue
			}
			ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
			err := srv.Shutdown(ctx)
			cancel()
			fmt.Println("truth " + truth.JSON())
			if err != nil && !errors.Is(err, context.DeadlineExceeded) {
				return err
			}
			return nil
		}
	}
}
