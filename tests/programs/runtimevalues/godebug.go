package main

import (
	"math/rand"
	"os"
)

// notDefault behaves in a way that GODEBUG asked for, which is counted. All versions from Go 1.21 on know this setting.
func notDefault() {
	if os.Getenv("GODEBUG") != "" {
		rand.Intn(2)
	}
}
