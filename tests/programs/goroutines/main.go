// Goroutines in every state that is of interest, each of which stays as it is: a dump of them can be compared with the
// traceback that SIGQUIT prints afterwards.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

// started counts the goroutines that have reached the place where they stay.
var started sync.WaitGroup

// start runs a function in a goroutine of its own; the function calls reached before it blocks.
func start(run func(reached func())) {
	started.Add(1)
	go run(started.Done)
}

func main() {
	mode := flag.String("mode", "states", "states, many, runnable, preempted, churn or leak")
	count := flag.Int("count", 0, "how many goroutines (many, churn)")
	flag.Parse()
	// Nothing moves between a dump and the traceback.
	debug.SetGCPercent(-1)
	switch *mode {
	case "states":
		states()
		started.Wait()
		// From reached to the place where it stays is a short way.
		time.Sleep(500 * time.Millisecond)
		go own()
		ready()
		select {}
	case "many":
		many(*count)
		started.Wait()
		time.Sleep(500 * time.Millisecond)
		ready()
		select {}
	case "runnable":
		runnable()
	case "preempted":
		preempted()
	case "churn":
		churn(*count)
	case "leak":
		leak()
	default:
		fmt.Fprintln(os.Stderr, "no such mode:", *mode)
		os.Exit(2)
	}
}

func ready() {
	fmt.Println("pid", os.Getpid())
	fmt.Println("ready", runtime.NumGoroutine())
}

// own prints the runtime's own traceback of all goroutines with each line that it is given.
func own() {
	for {
		var line string
		if _, err := fmt.Scanln(&line); err != nil {
			select {}
		}
		text := make([]byte, 16<<20)
		text = text[:runtime.Stack(text, true)]
		fmt.Printf("%s\n\nend\n", text)
	}
}
