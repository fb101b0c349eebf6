package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"trigon.dev/examples/shop/internal/service"
	"trigon.dev/examples/shop/orderspb"
)

// catalogue is how many products there are: ids 1 to this.
const catalogue = 500

// maxBody bounds what is read of a request.
const maxBody = 64 << 10

type shop struct {
	payments *client
	orders   orderspb.OrdersClient
}

type product struct {
	ID         int    `json:"id"`
	Name       string `json:"name"`
	PriceCents int64  `json:"price_cents"`
}

func lookUp(id int) product {
	return product{id, fmt.Sprintf("product %d", id), int64(service.Dice(strconv.Itoa(id), 9000)) + 100}
}

func (s *shop) home(w http.ResponseWriter, _ *http.Request) {
	service.Reply(w, http.StatusOK, map[string]any{"shop": "trigon", "products": catalogue})
}

func (s *shop) products(w http.ResponseWriter, r *http.Request) {
	page, _ := strconv.Atoi(r.URL.Query().Get("page"))
	list := make([]product, 0, 20)
	for id := page*20 + 1; page >= 0 && page < catalogue/20 && id <= page*20+20; id++ {
		list = append(list, lookUp(id))
	}
	service.Reply(w, http.StatusOK, list)
}

func (s *shop) product(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.PathValue("id"))
	switch {
	case err != nil:
		service.Fail(w, http.StatusBadRequest, "a product's id is a number")
	case id < 1 || id > catalogue:
		service.Fail(w, http.StatusNotFound, "no such product")
	default:
		service.Reply(w, http.StatusOK, lookUp(id))
	}
}

// search is slow for one query in thirty: an index that is missing.
func (s *shop) search(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query().Get("q")
	if q == "" {
		service.Fail(w, http.StatusBadRequest, "q is needed")
		return
	}
	d := 3*time.Millisecond + time.Duration(service.Dice(q, 9000))*time.Microsecond
	if service.Dice("slow"+q, 30) == 0 {
		d = 700 * time.Millisecond
	}
	service.Work(r.Context(), d)
	service.Reply(w, http.StatusOK, []product{lookUp(int(service.Dice(q, catalogue)) + 1)})
}

func (s *shop) addToCart(w http.ResponseWriter, r *http.Request) {
	var item struct {
		Product int `json:"product"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&item); err != nil {
		service.Fail(w, http.StatusBadRequest, "not an item: "+err.Error())
		return
	}
	if item.Product < 1 || item.Product > catalogue {
		service.Fail(w, http.StatusUnprocessableEntity, "no such product")
		return
	}
	service.Work(r.Context(), time.Millisecond)
	service.Reply(w, http.StatusCreated, map[string]any{"user": r.PathValue("user"), "item": lookUp(item.Product)})
}

// recommend has a bug: for some users there is no profile, and nobody looked.
func (s *shop) recommend(w http.ResponseWriter, r *http.Request) {
	user := r.PathValue("user")
	var profile *product
	if service.Dice("profile"+user, 80) != 0 {
		p := lookUp(int(service.Dice(user, catalogue)) + 1)
		profile = &p
	}
	service.Work(r.Context(), 2*time.Millisecond)
	service.Reply(w, http.StatusOK, []string{profile.Name})
}
