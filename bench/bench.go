// SPDX-License-Identifier: MIT

// The peer Go: goroutines and channels on one P, the works of bench.h's
// programs under the same names. "bench WORK [N]" prints one figure and
// exits with 77 for a work that Go lacks.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const (
	lacking       = 77
	chanCapacity  = 128
	sleepsEach    = 10
	secondsAtMost = 120
)

func check(ok bool, what string) {
	if !ok {
		fmt.Fprintln(os.Stderr, "failed:", what)
		os.Exit(1)
	}
}

// Nanoseconds: of CPU on one P, as bench.h has it, else by the clock.
func now() int64 {
	if runtime.GOMAXPROCS(0) > 1 {
		return time.Now().UnixNano()
	}
	var used syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &used) == nil, "getrusage")
	return used.Utime.Nano() + used.Stime.Nano()
}

// Nanoseconds per operation, where batch(n) does n*ops of them.
func perOp(batch func(n int), ops int) float64 {
	if runtime.GOMAXPROCS(0) > 1 {
		return perOpBursts(batch, ops)
	}
	timed := func(n int) float64 {
		t := now()
		batch(n)
		return float64(now() - t)
	}
	batch(1)
	n := 1
	t := timed(n)
	for t <= 20e6 {
		n *= 2
		t = timed(n)
	}
	if t < 150e6 {
		n = int(float64(n) * 200e6 / t)
		t = timed(n)
	}
	return t / (float64(n) * float64(ops))
}

// What nine of ten bursts exceed, as bench.h has it for several threads.
func perOpBursts(batch func(n int), ops int) float64 {
	const burst, burstsMax = 1000, 500
	var took []float64
	batch(burst)
	for end := now() + 500e6; len(took) < burstsMax && now() < end; {
		t := now()
		batch(burst)
		took = append(took, float64(now()-t)/float64(burst*ops))
	}
	sort.Float64s(took)
	return took[len(took)/10]
}

// Bytes of memory that the process occupies.
func resident() float64 {
	var size, pages float64
	text, err := os.ReadFile("/proc/self/statm")
	check(err == nil, "statm")
	fmt.Sscan(string(text), &size, &pages)
	return pages * float64(os.Getpagesize())
}

func cpuSeconds() float64 {
	var ru syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &ru)
	return float64(ru.Utime.Nano()+ru.Stime.Nano()) / 1e9
}

// The goroutines start once all are there: else main, preempted while it
// makes a million, would wait for a round of all after each 10 ms.
func yield(n int) float64 {
	gate := make(chan int)
	for i := 1; i < n; i++ {
		go func() {
			<-gate
			for {
				runtime.Gosched()
			}
		}()
	}
	close(gate)
	return perOp(func(rounds int) {
		for ; rounds > 0; rounds-- {
			runtime.Gosched()
		}
	}, n)
}

func spawn(int) float64 {
	return perOp(func(n int) {
		ended := 0
		for i := 0; i < n; i++ {
			go func() { ended++ }()
			runtime.Gosched()
		}
		for ended < n {
			runtime.Gosched()
		}
	}, 1)
}

// Nanoseconds to start n goroutines, let them park, wake them, see them end.
func alivePass(n int) float64 {
	gate := make(chan int)
	parked, ended := 0, 0
	t := now()
	for i := 0; i < n; i++ {
		go func() {
			parked++
			<-gate
			ended++
		}()
	}
	for parked < n {
		runtime.Gosched()
	}
	for i := 0; i < n; i++ {
		gate <- 0
	}
	for ended < n {
		runtime.Gosched()
	}
	return float64(now()-t) / float64(n)
}

func alive(n int) float64 {
	alivePass(n)
	alivePass(n)
	return alivePass(n)
}

func pingpong(int) float64 {
	to, back := make(chan int), make(chan int)
	go func() {
		for {
			back <- <-to + 1
		}
	}()
	return perOp(func(n int) {
		word := 0
		for i := 0; i < n; i++ {
			to <- word
			word = <-back
		}
		check(word == n, "pingpong")
	}, 2)
}

func produce(c chan int) {
	for word := 0; ; word++ {
		c <- word
	}
}

func buffered(n int) float64 {
	c := make(chan int, n)
	expected := 0
	go produce(c)
	return perOp(func(n int) {
		for ; n > 0; n-- {
			check(<-c == expected, "buffered")
			expected++
		}
	}, 1)
}

// The same with a P for each end; the scheduler may still put both on one.
func onTwo(work func(n int) float64) func(n int) float64 {
	return func(n int) float64 {
		runtime.GOMAXPROCS(2)
		return work(n)
	}
}

// Fibonacci's numbers by goroutines, the small ones by calls.
const (
	tree         = 30
	treeLeaf     = 14
	treeResult   = 832040
	treeTasklets = 5167
)

func fib(n int) int {
	if n < 2 {
		return n
	}
	return fib(n-1) + fib(n-2)
}

func fibTree(n int, result *int, done *sync.WaitGroup) {
	defer done.Done()
	if n <= treeLeaf {
		*result = fib(n)
		return
	}
	var parts [2]int
	var both sync.WaitGroup
	both.Add(2)
	go fibTree(n-1, &parts[0], &both)
	go fibTree(n-2, &parts[1], &both)
	both.Wait()
	*result = parts[0] + parts[1]
}

func procsTree(n int) float64 {
	runtime.GOMAXPROCS(n)
	return perOp(func(n int) {
		for ; n > 0; n-- {
			var result int
			var done sync.WaitGroup
			done.Add(1)
			go fibTree(tree, &result, &done)
			done.Wait()
			check(result == treeResult, "the tree's result")
		}
	}, treeTasklets)
}

func mutexAlone(int) float64 {
	var m sync.Mutex
	return perOp(func(n int) {
		for ; n > 0; n-- {
			m.Lock()
			m.Unlock()
		}
	}, 1)
}

func ring(n int) float64 {
	chans := make([]chan int, n)
	for i := range chans {
		chans[i] = make(chan int)
	}
	for i := 1; i < n; i++ {
		go func(from, to chan int) {
			for {
				to <- <-from + 1
			}
		}(chans[i], chans[(i+1)%n])
	}
	return perOp(func(laps int) {
		word := 0
		for i := 0; i < laps; i++ {
			chans[1%n] <- word + 1
			word = <-chans[0]
		}
		check(word == laps*n, "ring")
	}, n)
}

func selectFour(int) float64 {
	var c [4]chan int
	var got [4]int
	for i := range c {
		c[i] = make(chan int)
		go produce(c[i])
	}
	ns := perOp(func(n int) {
		for ; n > 0; n-- {
			select {
			case <-c[0]:
				got[0]++
			case <-c[1]:
				got[1]++
			case <-c[2]:
				got[2]++
			case <-c[3]:
				got[3]++
			}
		}
	}, 1)
	for _, n := range got {
		check(n > 0, "a select that leaves no channel out")
	}
	return ns
}

func residentEach(n int) float64 {
	before := resident()
	gate := make(chan int)
	parked := 0
	for i := 0; i < n; i++ {
		go func() {
			parked++
			<-gate
		}()
	}
	for parked < n {
		runtime.Gosched()
	}
	return (resident() - before) / float64(n)
}

func sleepers(n int) float64 {
	ended := 0
	for i := 0; i < n; i++ {
		go func(i int) {
			for k := 0; k < sleepsEach; k++ {
				us := 1000 + (i*7919+k*104729)%100000
				time.Sleep(time.Duration(us) * time.Microsecond)
			}
			ended++
		}(i)
	}
	for ended < n {
		time.Sleep(10 * time.Millisecond)
	}
	return cpuSeconds()
}

type work struct {
	n   int // default of the second argument
	run func(n int) float64
}

var works = map[string]work{
	"yield":      {2, yield},
	"spawn":      {1, spawn},
	"alive":      {100000, alive},
	"alive-cold": {100000, alivePass},
	"pingpong":   {2, pingpong},
	"buffered":   {chanCapacity, buffered},
	"mutex":      {1, mutexAlone},
	"ring":       {1000, ring},
	"select":     {4, selectFour},
	"resident":   {1000000, residentEach},
	"sleepers":   {100000, sleepers},

	"procs-pingpong": {2, onTwo(pingpong)},
	"procs-buffered": {chanCapacity, onTwo(buffered)},
	"procs-tree":     {2, procsTree},
}

func main() {
	runtime.GOMAXPROCS(1)
	check(len(os.Args) == 2 || len(os.Args) == 3, "usage: bench WORK [N]")
	w, found := works[os.Args[1]]
	if !found {
		os.Exit(lacking)
	}
	n := w.n
	if len(os.Args) == 3 {
		n, _ = strconv.Atoi(os.Args[2])
		check(n > 0, "N is a number above 0")
	}
	time.AfterFunc(secondsAtMost*time.Second, func() { os.Exit(1) })
	fmt.Printf("%.6g\n", w.run(n))
}
