//go:build go1.22

package app

import (
	"os"
	"strings"
)

// Patterns tells whether the mux understands methods and wildcards. The setting is read as net/http reads it, once.
var Patterns = !strings.Contains(os.Getenv("GODEBUG"), "httpmuxgo121=1")
