// SPDX-License-Identifier: MIT

// The echo server of Go: a goroutine a connection, on one P. It prints its
// port; on SIGUSR1 it notes the CPU time used, on SIGTERM it prints the
// microseconds used since, and ends.
package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

const secondsAtMost = 120

func cpuMicroseconds() int64 {
	var ru syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &ru)
	return (ru.Utime.Nano() + ru.Stime.Nano()) / 1000
}

func onSignals() {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGTERM)
	noted := int64(0)
	for s := range signals {
		if s == syscall.SIGTERM {
			fmt.Println(cpuMicroseconds() - noted)
			os.Exit(0)
		}
		noted = cpuMicroseconds()
	}
}

func serve(c net.Conn) {
	defer c.Close()
	var buf [16384]byte
	for {
		n, err := c.Read(buf[:])
		if err != nil {
			return
		}
		if _, err = c.Write(buf[:n]); err != nil {
			return
		}
	}
}

func main() {
	runtime.GOMAXPROCS(1)
	time.AfterFunc(secondsAtMost*time.Second, func() { os.Exit(1) })
	go onSignals()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	for {
		c, err := listener.Accept()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		go serve(c)
	}
}
