// Gcload collects garbage, asked for and by itself, stops the world for other reasons, and then says how often and for
// how long it was stopped. It waits for a line on standard input before it begins, and for the end of it afterwards.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

var (
	cycles = flag.Int64("cycles", 1000, "garbage collections")
	others = flag.Int("others", 20, "stops for each other reason")
)

// truth is what the program knows of its stops between the line and the answer.
type truth struct {
	First  int64             `json:"first"`  // number of collections before
	Last   int64             `json:"last"`   // number of collections after
	Forced uint32            `json:"forced"` // those that were asked for
	Pauses map[int64]int64   `json:"pauses"` // nanoseconds by the collection's number
	Stops  map[string]int    `json:"stops"`  // other stops by the runtime's reason
	Total  map[string]uint64 `json:"total"`  // of /sched/pauses/total/gc, by the bucket's lower bound in nanoseconds
	Stop   map[string]uint64 `json:"stop"`   // of /sched/pauses/stopping/gc
}

var sink [4][]byte

func main() {
	flag.Parse()
	callC()
	in := bufio.NewReader(os.Stdin)
	fmt.Println("ready", os.Getpid())
	if _, err := in.ReadString('\n'); err != nil {
		return
	}
	t := truth{Pauses: map[int64]int64{}, Stops: map[string]int{}}
	runtime.GC()
	stats := debug.GCStats{Pause: make([]time.Duration, 0, 257)}
	forced := forcedCycles(&t)
	debug.ReadGCStats(&stats)
	t.First = stats.NumGC
	total, stopping := histogram("/sched/pauses/total/gc:seconds"), histogram("/sched/pauses/stopping/gc:seconds")

	end := make(chan struct{})
	var workers sync.WaitGroup
	for w := range sink[:2] {
		workers.Add(1)
		go func(w int) {
			defer workers.Done()
			allocate(w, end)
		}(w)
	}
	for stats.NumGC < t.First+*cycles {
		runtime.GC()
		time.Sleep(time.Millisecond)
		t.collect(&stats)
	}
	close(end)
	workers.Wait()
	t.stopOtherwise(*others)
	// What is under way ends before this one begins.
	runtime.GC()
	t.collect(&stats)
	t.Last = stats.NumGC
	t.Total = difference(total, histogram("/sched/pauses/total/gc:seconds"))
	t.Stop = difference(stopping, histogram("/sched/pauses/stopping/gc:seconds"))
	t.Forced = forcedCycles(&t) - forced
	if err := json.NewEncoder(os.Stdout).Encode(t); err != nil {
		panic(err)
	}
	_, _ = in.ReadString('\n')
}

// collect keeps the pauses that came since the last time. The ring has 256, the newest first.
func (t *truth) collect(stats *debug.GCStats) {
	debug.ReadGCStats(stats)
	for i, pause := range stats.Pause {
		if number := stats.NumGC - int64(i); number > t.First {
			t.Pauses[number] = int64(pause)
		}
	}
}

func allocate(w int, end chan struct{}) {
	for {
		select {
		case <-end:
			return
		default:
			sink[w] = make([]byte, 20<<10)
			// Pointers, so that there is something to mark.
			list := make([]*[64]byte, 100)
			for i := range list {
				list[i] = new([64]byte)
			}
			runtime.KeepAlive(list)
		}
	}
}

func forcedCycles(t *truth) uint32 {
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	t.Stops["read mem stats"]++
	return memory.NumForcedGC
}

func (t *truth) stopOtherwise(times int) {
	procs := runtime.GOMAXPROCS(0)
	text := make([]byte, 1<<20)
	records := make([]runtime.StackRecord, 1000)
	for i := 0; i < times; i++ {
		forcedCycles(t)
		runtime.GOMAXPROCS(procs + 1 + i%2)
		t.Stops["GOMAXPROCS"]++
		runtime.Stack(text, true)
		t.Stops["all goroutines stack trace"]++
		if _, ok := runtime.GoroutineProfile(records); !ok {
			panic("more goroutines than expected")
		}
		t.Stops["goroutine profile"]++
		t.Stops["goroutine profile cleanup"]++
	}
}

// histogram reads a metric; none: this release has no such metric.
func histogram(name string) *metrics.Float64Histogram {
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindFloat64Histogram {
		return nil
	}
	return sample[0].Value.Float64Histogram()
}

func difference(before, after *metrics.Float64Histogram) map[string]uint64 {
	if after == nil {
		return nil
	}
	added := map[string]uint64{}
	for i, count := range after.Counts {
		if count -= before.Counts[i]; count > 0 {
			added[fmt.Sprintf("%.0f", after.Buckets[i]*1e9)] = count
		}
	}
	return added
}
