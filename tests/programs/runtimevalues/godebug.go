package main

import "math/rand"

// notDefault behaves in ways that GODEBUG may ask for, which is counted if it did: randautoseed=0 once, panicnil=1 twice.
func notDefault() {
	rand.Intn(2)
	for i := 0; i < 2; i++ {
		func() {
			defer func() { recover() }()
			panic(nil)
		}()
	}
}
