// Runtimevalues prints what the runtime says of itself, for comparison with what is read from outside. For each line on
// standard input it prints one line of JSON. It allocates nothing for that, so that nothing changes until the next line.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"sync"
	"syscall"
	"time"
)

var (
	blocked = flag.Int("blocked", 5, "goroutines that wait for ever")
	threads = flag.Int("threads", 0, "threads that are locked to goroutines which wait for ever")
	calls   = flag.Int("calls", 7, "calls from Go to C, where C is linked in")
)

func main() {
	flag.Parse()
	for i := 0; i < *blocked; i++ {
		go func() { select {} }()
	}
	for i := 0; i < *threads; i++ {
		go func() {
			runtime.LockOSThread()
			select {}
		}()
	}
	for i := 0; i < *calls; i++ {
		callC()
	}
	history()
	v := newValues()
	fmt.Println("ready", os.Getpid())
	for {
		switch line := readLine(); line {
		case "":
			return
		case "metrics":
			v.read(false)
		case "memstats":
			v.read(true)
		case "busy":
			busy()
			v.answer = append(v.answer[:0], "{}"...)
		case "spin":
			spin()
			v.answer = append(v.answer[:0], "{}"...)
		case "limit":
			debug.SetMemoryLimit(64 << 20)
			debug.SetGCPercent(300)
			v.answer = append(v.answer[:0], "{}"...)
		case "off":
			debug.SetGCPercent(-1)
			v.answer = append(v.answer[:0], "{}"...)
		case "settle":
			// The scavenger works for a while after a collection, and changes what is counted.
			debug.FreeOSMemory()
			v.answer = append(v.answer[:0], "{}"...)
		case "again":
			// This program once more, in the same process.
			if err := syscall.Exec("/proc/self/exe", os.Args, os.Environ()); err != nil {
				panic(err)
			}
		default:
			if path := strings.TrimPrefix(line, "exec "); path != line {
				if err := syscall.Exec(path, []string{path}, os.Environ()); err != nil {
					panic(err)
				}
			}
			fmt.Fprintf(os.Stderr, "unknown command %q\n", line)
			os.Exit(2)
		}
		v.answer = append(v.answer, '\n')
		if _, err := syscall.Write(1, v.answer); err != nil {
			return
		}
	}
}

var input [1024]byte

// readLine reads without the runtime's poller, which would count as one more waiting goroutine.
func readLine() string {
	n := 0
	for n < len(input) {
		got, err := syscall.Read(0, input[n:n+1])
		if err == syscall.EINTR {
			continue
		}
		if err != nil || got == 0 {
			return ""
		}
		if input[n] == '\n' {
			break
		}
		n++
	}
	switch string(input[:n]) {
	// Constants, so that nothing is allocated.
	case "metrics":
		return "metrics"
	case "memstats":
		return "memstats"
	}
	return string(input[:n])
}

var sink [][]byte

// history makes numbers differ from zero.
func history() {
	for i := 0; i < 2000; i++ {
		sink = append(sink, make([]byte, 16+i%3000))
	}
	sink = append(sink, make([]byte, 100_000), make([]byte, 1_000_000))
	for i := 0; i < 300; i++ {
		finalized := new([64]byte)
		runtime.SetFinalizer(finalized, func(*[64]byte) {})
	}
	addCleanups()
	sink = sink[:len(sink)/2]
	for i := 0; i < 3; i++ {
		runtime.GC()
	}
	done := make(chan bool)
	for i := 0; i < 100; i++ {
		go func() { done <- true }()
	}
	for i := 0; i < 100; i++ {
		<-done
	}
	contend()
	notDefault()
}

// contend waits for a mutex.
func contend() {
	lock := make(chan bool, 1)
	var m sync.Mutex
	m.Lock()
	for i := 0; i < 3; i++ {
		go func() {
			m.Lock()
			time.Sleep(time.Millisecond)
			m.Unlock()
			lock <- true
		}()
	}
	time.Sleep(5 * time.Millisecond)
	m.Unlock()
	for i := 0; i < 3; i++ {
		<-lock
	}
}

// busy allocates, frees and collects until the program ends.
func busy() {
	for i := 0; i < 4; i++ {
		go func() {
			var keep [][]byte
			for n := 0; ; n++ {
				if n%1000 == 0 {
					keep = nil
					time.Sleep(200 * time.Microsecond)
				}
				keep = append(keep, make([]byte, 8+n%40_000))
			}
		}()
	}
	go func() {
		for {
			time.Sleep(20 * time.Millisecond)
			runtime.GC()
		}
	}()
	// Threads come and go.
	go func() {
		for {
			gone := make(chan bool)
			go func() {
				runtime.LockOSThread()
				gone <- true
			}()
			<-gone
			time.Sleep(time.Millisecond)
		}
	}()
	go func() {
		for n := 1; ; n = n%4 + 1 {
			time.Sleep(50 * time.Millisecond)
			runtime.GOMAXPROCS(n)
		}
	}()
}

// spin reads the heap's statistics without end, which turns their ring.
func spin() {
	go func() {
		samples := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
		for {
			metrics.Read(samples)
		}
	}()
}
