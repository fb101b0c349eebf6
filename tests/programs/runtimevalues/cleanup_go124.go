//go:build go1.24

package main

import "runtime"

func addCleanups() {
	for i := 0; i < 200; i++ {
		runtime.AddCleanup(new([64]byte), func(int) {}, 0)
	}
}
