//go:build go1.22

// The go line of this module says 1.21, and by that alone newer toolchains would choose the mux of 1.21.
//go:debug httpmuxgo121=0

package main
