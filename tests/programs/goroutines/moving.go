package main

import (
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"
)

// many starts goroutines with few different stacks.
func many(count int) {
	block := make(chan int)
	started.Add(count)
	for i := 0; i < count; i++ {
		go deeper(block, i%10)
	}
}

//go:noinline
func deeper(block chan int, depth int) {
	if depth > 0 {
		deeper(block, depth-1)
		return
	}
	started.Done()
	<-block
}

// runnable leaves goroutines that nobody runs, because one never gives the only processor away. It needs GOMAXPROCS=1 and
// GODEBUG=asyncpreemptoff=1.
func runnable() {
	woken := make(chan int)
	for i := 0; i < 3; i++ {
		go func() { <-woken; select {} }()
	}
	for i := 0; i < 3; i++ {
		runtime.Gosched()
	}
	ready()
	// These have not run yet.
	for i := 0; i < 3; i++ {
		go deeper(woken, i)
	}
	// Those have, and could go on.
	for i := 0; i < 3; i++ {
		woken <- 1
	}
	spin()
}

var sum atomic.Int64

//go:noinline
func spin() {
	for {
		sum.Add(1)
	}
}

// preempted leaves goroutines that take turns on one processor, stopped wherever they are. It needs GOMAXPROCS=1.
func preempted() {
	for i := 0; i < 4; i++ {
		go func() { spin() }()
	}
	ready()
	spin()
}

// churn creates and ends goroutines all the time, which grow and shrink their stacks and collect garbage.
func churn(count int) {
	stop := make(chan int)
	for i := 0; i < count; i++ {
		go func(i int) {
			for {
				done := make(chan int)
				go func() {
					grow(i % 200)
					done <- i
				}()
				<-done
				if i%7 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
		}(i)
	}
	go func() {
		for {
			runtime.GC()
			time.Sleep(5 * time.Millisecond)
		}
	}()
	ready()
	<-stop
}

//go:noinline
func grow(depth int) int {
	var room [64]byte
	if depth == 0 {
		runtime.Gosched()
		return int(room[0])
	}
	return grow(depth-1) + int(room[depth%64])
}

// leak creates goroutines that never end at one place, and as many that end at another, with each line that it is given.
func leak() {
	never := make(chan int)
	ready()
	for {
		var line string
		if _, err := fmt.Scanln(&line); err != nil {
			os.Exit(0)
		}
		for i := 0; i < 50; i++ {
			go func() { <-never }()
		}
		for i := 0; i < 50; i++ {
			go func() { time.Sleep(time.Millisecond) }()
		}
		time.Sleep(100 * time.Millisecond)
		fmt.Println("done")
	}
}
