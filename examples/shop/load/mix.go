package main

import (
	"fmt"
	"math/rand"
)

// job is one request, and the route by which it is counted.
type job struct {
	method, route, path, body string
}

// past is how many orders there are from the start: o0 to o1999. New ones begin with an n, so that what a request finds
// does not depend on those before it.
const past = 2000

// kinds are the requests and their shares.
var kinds = []struct {
	weight        int
	method, route string
	fill          func(r *rand.Rand) (path, body string)
}{
	{30, "GET", "/products/{id}", func(r *rand.Rand) (string, string) {
		return fmt.Sprintf("/products/%d", r.Intn(520)+1), "" // a few too high: 404
	}},
	{15, "GET", "/products", func(r *rand.Rand) (string, string) {
		return fmt.Sprintf("/products?page=%d", r.Intn(25)), ""
	}},
	{10, "GET", "/search", func(r *rand.Rand) (string, string) {
		return fmt.Sprintf("/search?q=word%d", r.Intn(300)), ""
	}},
	{10, "POST", "/cart/{user}/items", func(r *rand.Rand) (string, string) {
		return fmt.Sprintf("/cart/u%d/items", r.Intn(1000)), fmt.Sprintf(`{"product":%d}`, r.Intn(510)+1)
	}},
	{12, "POST", "/orders", func(r *rand.Rand) (string, string) {
		return "/orders", fmt.Sprintf(`{"id":"n%d","product":%d}`, r.Intn(1_000_000), r.Intn(500)+1)
	}},
	{10, "GET", "/orders/{id}", func(r *rand.Rand) (string, string) {
		return fmt.Sprintf("/orders/o%d", r.Intn(past+40)), "" // a few were never placed: 404
	}},
	{8, "GET", "/recommendations/{user}", func(r *rand.Rand) (string, string) {
		return fmt.Sprintf("/recommendations/u%d", r.Intn(1000)), ""
	}},
	{2, "POST", "/orders/{id}/cancel", func(r *rand.Rand) (string, string) {
		return fmt.Sprintf("/orders/o%d/cancel", r.Intn(past)), ""
	}},
	{2, "GET", "/", func(*rand.Rand) (string, string) { return "/", "" }},
	{1, "GET", "(no route)", func(r *rand.Rand) (string, string) {
		return fmt.Sprintf("/wp-admin/%d.php", r.Intn(100)), ""
	}},
}

// mix is an endless sequence of requests that depends on the seed alone.
type mix struct {
	random *rand.Rand
	total  int
}

func newMix(seed int64) *mix {
	m := &mix{random: rand.New(rand.NewSource(seed))}
	for _, k := range kinds {
		m.total += k.weight
	}
	return m
}

func (m *mix) next() job {
	n := m.random.Intn(m.total)
	for _, k := range kinds {
		if n -= k.weight; n < 0 {
			path, body := k.fill(m.random)
			return job{k.method, k.route, path, body}
		}
	}
	panic("the weights do not add up to their total")
}
