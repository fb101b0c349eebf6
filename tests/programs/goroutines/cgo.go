//go:build cgo

package main

/*
#include <unistd.h>

extern void blockInGo(int);

static void wait_in_c(void) {
	for (;;) pause();
}

static void call_back(int n) {
	blockInGo(n);
}
*/
import "C"

func init() {
	also = append(also, func() {
		start(func(reached func()) { reached(); C.wait_in_c() })
		start(func(reached func()) { back <- reached; C.call_back(1) })
	})
}

var back = make(chan func(), 1)

//export blockInGo
func blockInGo(n C.int) {
	block(<-back)
}
