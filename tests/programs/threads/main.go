// Threads has goroutines that are locked to threads: some compute without pause, others sleep in the kernel, a given
// time again and again. It prints `ready PID` when all have begun, and ends at the end of standard input.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
)

var (
	busy     = flag.Int("busy", 0, "threads that compute")
	sleeping = flag.Int("sleeping", 0, "threads that sleep")
	procs    = flag.Int("procs", 0, "GOMAXPROCS; 0: one for each thread, so that none waits for one of Go's processors")
	pause    = flag.Duration("pause", 5*time.Millisecond, "for how long they sleep at a time")
)

func main() {
	flag.Parse()
	var begun sync.WaitGroup
	locked := func(n int, work func()) {
		begun.Add(n)
		for i := 0; i < n; i++ {
			go func() {
				runtime.LockOSThread()
				begun.Done()
				work()
			}()
		}
	}
	if *procs == 0 {
		*procs = *busy + *sleeping + 1
	}
	runtime.GOMAXPROCS(*procs)
	locked(*sleeping, sleep)
	locked(*busy, compute)
	begun.Wait()
	fmt.Println("ready", os.Getpid())
	io.Copy(io.Discard, os.Stdin)
}

func compute() {
	for {
	}
}

func sleep() {
	for {
		left := syscall.NsecToTimespec(pause.Nanoseconds())
		// An interrupted one is only shorter.
		_ = syscall.Nanosleep(&left, nil)
	}
}
