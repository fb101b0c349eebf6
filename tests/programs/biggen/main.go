// Biggen writes the source of a server whose executable is large in code and in data, to measure how the start time and
// memory of the agent depend on the size of what it looks at:
//
//	go run ./biggen -out DIR && cd DIR && go build -o big .
//
// The same flags give the same source. With the defaults the executable has more than 100 MB, of which the linker's
// tables of functions and the debug information are a natural share, since the code is ordinary Go.
package main

import (
	"flag"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

func main() {
	out := flag.String("out", "", "empty or new directory (required)")
	packages := flag.Int("packages", 60, "packages with code")
	functions := flag.Int("functions", 360, "functions in each package")
	data := flag.Int("data-mb", 40, "megabytes of embedded data")
	flag.Parse()
	if *out == "" || *packages < 1 || *functions < 1 || *data < 0 || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := generate(*out, *packages, *functions, *data); err != nil {
		fmt.Fprintln(os.Stderr, "biggen:", err)
		os.Exit(1)
	}
}

func generate(dir string, packages, functions, megabytes int) error {
	// An existing directory may hold someone's files; only this program's own is written again.
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		if _, err := os.Stat(filepath.Join(dir, marker)); err != nil {
			return fmt.Errorf("%s is not empty", dir)
		}
	}
	write := func(name string, text []byte) error {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		return os.WriteFile(path, text, 0o644)
	}
	if err := write(marker, nil); err != nil {
		return err
	}
	if err := write("go.mod", []byte("module big\n\ngo 1.22\n")); err != nil {
		return err
	}
	blob := make([]byte, megabytes<<20)
	rand.New(rand.NewSource(1)).Read(blob)
	if err := write("data.bin", blob); err != nil {
		return err
	}
	for p := 0; p < packages; p++ {
		if err := write(fmt.Sprintf("p%03d/code.go", p), []byte(code(p, functions))); err != nil {
			return err
		}
	}
	return write("main.go", []byte(program(packages)))
}

// marker tells a directory that this program wrote.
const marker = "generated-by-biggen"

// code is one package: types with methods, maps, strings and branches, all reachable through its table.
func code(p, functions int) string {
	r := rand.New(rand.NewSource(int64(p) + 1))
	var b strings.Builder
	fmt.Fprintf(&b, "// Package p%03d is generated.\npackage p%03d\n\n", p, p)
	b.WriteString("import (\n\t\"errors\"\n\t\"fmt\"\n\t\"sort\"\n\t\"strings\"\n)\n\n")
	for f := 0; f < functions; f++ {
		fmt.Fprintf(&b, "type T%d struct {\n\tname string\n\tn int\n\tm map[string]int\n\tlist []string\n\tlast error\n}\n\n", f)
		fmt.Fprintf(&b, "func (t *T%d) Step(in string, n int) (int, error) {\n", f)
		b.WriteString("\tif t.m == nil {\n\t\tt.m = map[string]int{}\n\t}\n")
		for k, steps := 0, 4+r.Intn(5); k < steps; k++ {
			switch r.Intn(4) {
			case 0:
				fmt.Fprintf(&b, "\tif n%%%d == %d {\n\t\tt.last = fmt.Errorf(\"step %%d of %%q: %%w\", n, in, errors.New(%q))\n\t\treturn n, t.last\n\t}\n",
					r.Intn(90)+7, r.Intn(7), word(r))
			case 1:
				fmt.Fprintf(&b, "\tt.m[in+%q] += n * %d\n\tt.list = append(t.list, strings.Repeat(in, n&%d))\n", word(r), r.Intn(1000), r.Intn(7)+1)
			case 2:
				fmt.Fprintf(&b, "\tfor i := 0; i < n&%d; i++ {\n\t\tn ^= i<<%d + len(t.list)\n\t\tt.n += n %% (i + %d)\n\t}\n", r.Intn(30)+1, r.Intn(5), r.Intn(50)+1)
			default:
				fmt.Fprintf(&b, "\tswitch {\n\tcase strings.HasPrefix(in, %q):\n\t\tn += %d\n\tcase len(in) > %d:\n\t\tsort.Strings(t.list)\n\t\tt.name = in[:%d]\n\t}\n",
					word(r), r.Intn(1000), r.Intn(20)+10, r.Intn(9)+1)
			}
		}
		b.WriteString("\treturn t.n + n, nil\n}\n\n")
	}
	b.WriteString("// Stepper is what all types of this package are.\ntype Stepper interface {\n\tStep(in string, n int) (int, error)\n}\n\n")
	b.WriteString("// All has one of each type, so that the linker keeps their methods.\nvar All = []func() Stepper{\n")
	for f := 0; f < functions; f++ {
		fmt.Fprintf(&b, "\tfunc() Stepper { return &T%d{} },\n", f)
	}
	b.WriteString("}\n")
	return b.String()
}

func word(r *rand.Rand) string {
	letters := make([]byte, 6+r.Intn(10))
	for i := range letters {
		letters[i] = byte('a' + r.Intn(26))
	}
	return string(letters)
}

func program(packages int) string {
	var imports, calls strings.Builder
	for p := 0; p < packages; p++ {
		fmt.Fprintf(&imports, "\t\"big/p%03d\"\n", p)
		fmt.Fprintf(&calls, "\t\tcase %d:\n\t\t\tn, err = p%03d.All[which%%len(p%03d.All)]().Step(in, n)\n", p, p, p)
	}
	return `// Big is a server with much code and data; generated.
package main

import (
	"context"
	_ "embed"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

` + imports.String() + `)

//go:embed data.bin
var data string

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on; port 0 takes a free one")
	flag.Parse()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") })
	mux.HandleFunc("GET /items/{id}", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, r.PathValue("id")) })
	mux.HandleFunc("GET /step/{which}", func(w http.ResponseWriter, r *http.Request) {
		which, in, n := len(data), r.URL.Path, 1
		if v, err := strconv.Atoi(r.PathValue("which")); err == nil && v >= 0 {
			which = v
		}
		var err error
		switch which % ` + strconv.Itoa(packages) + ` {
` + calls.String() + `		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(w, n)
	})
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		fmt.Fprintln(os.Stderr, "big:", err)
		os.Exit(1)
	}
	fmt.Printf("listening %s\npid %d\n", listener.Addr(), os.Getpid())
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	srv := &http.Server{Handler: mux}
	go srv.Serve(listener)
	<-ctx.Done()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	srv.Shutdown(ctx)
}
`
}
