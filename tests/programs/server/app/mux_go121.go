//go:build !go1.22

package app

// Patterns tells whether the mux understands methods and wildcards.
const Patterns = false
