// Reads a traceback with a library that many viewers use, and prints what it understood, one goroutine a line.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/maruel/panicparse/v2/stack"
)

func main() {
	text, err := os.Open(os.Args[1])
	if err != nil {
		fail(err)
	}
	options := stack.DefaultOpts()
	options.GuessPaths = false
	options.AnalyzeSources = false
	snapshot, rest, err := stack.ScanSnapshot(text, io.Discard, options)
	if err != nil && err != io.EOF {
		fail(err)
	}
	if len(rest) != 0 {
		fail(fmt.Errorf("not understood: %q", rest))
	}
	for _, goroutine := range snapshot.Goroutines {
		calls, created := 0, 0
		for _, call := range goroutine.Stack.Calls {
			if call.Func.Complete != "" {
				calls++
			}
		}
		created = len(goroutine.CreatedBy.Calls)
		fmt.Printf("%d|%s|%t|%d|%t|%d\n", goroutine.ID, goroutine.State, goroutine.Locked, calls, goroutine.Stack.Elided, created)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
