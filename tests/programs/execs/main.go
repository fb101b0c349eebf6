// Execs is a server that replaces itself by its own program when it is told to, as servers do that restart in place.
package main

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address")
	generation := flag.Int("generation", 0, "how often it has replaced itself")
	flag.Parse()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		fail(err)
	}
	address := listener.Addr().String()
	http.HandleFunc("/slow", func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(600 * time.Millisecond)
		w.WriteHeader(http.StatusAccepted)
	})
	http.HandleFunc("/generation", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "generation %d\n", *generation)
	})
	http.HandleFunc("/exec", func(http.ResponseWriter, *http.Request) {
		next := fmt.Sprint(*generation + 1)
		fail(syscall.Exec("/proc/self/exe", []string{os.Args[0], "-listen", address, "-generation", next}, os.Environ()))
	})
	fmt.Println("listening", address)
	fail(http.Serve(listener, nil))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "execs:", err)
	os.Exit(1)
}
