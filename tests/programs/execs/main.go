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
	flag.Parse()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		fail(err)
	}
	address := listener.Addr().String()
	http.HandleFunc("/slow", func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(600 * time.Millisecond)
		fmt.Fprintln(w, "slow")
	})
	http.HandleFunc("/exec", func(http.ResponseWriter, *http.Request) {
		fail(syscall.Exec("/proc/self/exe", []string{os.Args[0], "-listen", address}, os.Environ()))
	})
	fmt.Println("listening", address)
	fail(http.Serve(listener, nil))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "execs:", err)
	os.Exit(1)
}
