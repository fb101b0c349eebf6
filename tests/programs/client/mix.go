package main

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"sort"
	"strconv"
	"strings"
)

// maxMix bounds the entries of a mix file.
const maxMix = 1000

// entry is one kind of request in the mix.
type entry struct {
	// Weight is this entry's share of all weights; the number of its requests is exact, by largest remainder.
	Weight int    `json:"weight"`
	Method string `json:"method"`
	// Path is sent as it is, except that `{i}` becomes the number of the request (from 0) and `{i%N}` that modulo N.
	Path    string            `json:"path"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
	// BodyBytes sends that many bytes `x` instead of Body.
	BodyBytes int `json:"body_bytes"`
	// Expect lists the statuses that are no surprise; empty accepts each.
	Expect []int `json:"expect"`
	// ExpectError tells that no response is no surprise either, as with a handler that panics.
	ExpectError bool `json:"expect_error"`

	parts []part // Path, taken apart
	body  []byte
	index int
}

// part is literal text, then the request's number modulo mod (0: the number itself) unless last is set.
type part struct {
	text string
	mod  int
	last bool
}

func loadMix(file string) ([]*entry, error) {
	mix := []*entry{{Weight: 1, Method: "GET", Path: "/hello"}}
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		mix = nil
		if err := json.Unmarshal(text, &mix); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	if len(mix) == 0 || len(mix) > maxMix {
		return nil, fmt.Errorf("%s: %d entries, want 1 to %d", file, len(mix), maxMix)
	}
	for i, e := range mix {
		e.index = i
		if e.Weight < 0 {
			return nil, fmt.Errorf("entry %d: negative weight", i)
		}
		if e.Method == "" {
			e.Method = "GET"
		}
		if !strings.HasPrefix(e.Path, "/") {
			return nil, fmt.Errorf("entry %d: path %q does not start with /", i, e.Path)
		}
		parts, err := takeApart(e.Path)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", i, err)
		}
		e.parts, e.body = parts, []byte(e.Body)
		if e.BodyBytes > 0 {
			e.body = []byte(strings.Repeat("x", e.BodyBytes))
		}
	}
	return mix, nil
}

func takeApart(path string) ([]part, error) {
	var parts []part
	for {
		open := strings.Index(path, "{i")
		if open < 0 {
			return append(parts, part{text: path, last: true}), nil
		}
		end := strings.IndexByte(path[open:], '}')
		if end < 0 {
			return nil, fmt.Errorf("no } in %q", path)
		}
		p := part{text: path[:open]}
		if inside := path[open+2 : open+end]; inside != "" {
			n, err := strconv.Atoi(strings.TrimPrefix(inside, "%"))
			if err != nil || n < 1 || inside[0] != '%' {
				return nil, fmt.Errorf("want {i} or {i%%N}, not {i%s}", inside)
			}
			p.mod = n
		}
		parts = append(parts, p)
		path = path[open+end+1:]
	}
}

// appendPath appends the path of the request with this number.
func (e *entry) appendPath(b []byte, number int) []byte {
	for _, p := range e.parts {
		b = append(b, p.text...)
		if p.last {
			break
		}
		n := number
		if p.mod > 0 {
			n %= p.mod
		}
		b = strconv.AppendInt(b, int64(n), 10)
	}
	return b
}

// expected tells whether a status is no surprise.
func (e *entry) expected(status int) bool {
	for _, s := range e.Expect {
		if s == status {
			return true
		}
	}
	return len(e.Expect) == 0
}

// order returns the entry of each of n requests: exact counts, shuffled by seed.
func order(mix []*entry, n int, seed int64) ([]uint16, error) {
	total := 0
	for _, e := range mix {
		total += e.Weight
	}
	if total == 0 {
		return nil, fmt.Errorf("all weights are 0")
	}
	type share struct{ index, count, rest int }
	shares, left := make([]share, len(mix)), n
	for i, e := range mix {
		shares[i] = share{i, n * e.Weight / total, n * e.Weight % total}
		left -= shares[i].count
	}
	sort.SliceStable(shares, func(i, j int) bool { return shares[i].rest > shares[j].rest })
	seq := make([]uint16, 0, n)
	for i, s := range shares {
		if i < left {
			s.count++
		}
		for ; s.count > 0; s.count-- {
			seq = append(seq, uint16(s.index))
		}
	}
	rnd := rand.New(rand.NewSource(seed))
	rnd.Shuffle(len(seq), func(i, j int) { seq[i], seq[j] = seq[j], seq[i] })
	return seq, nil
}
