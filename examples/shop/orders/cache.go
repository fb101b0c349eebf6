package main

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"trigon.dev/examples/shop/internal/service"
)

// keepTime is how long an order stays cached.
const keepTime = 30 * time.Second

// cache is the orders that were asked for lately, and which products sell best.
type cache struct{ client *redis.Client }

func openCache(ctx context.Context, address string) (*cache, error) {
	c := &cache{redis.NewClient(&redis.Options{Addr: address})}
	ping := func(ctx context.Context) error { return c.client.Ping(ctx).Err() }
	if err := service.Wait(ctx, ping); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *cache) close() { c.client.Close() }

// get returns nil for an order that is not cached.
func (c *cache) get(ctx context.Context, id string) (*order, error) {
	text, err := c.client.Get(ctx, "order:"+id).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var o order
	if err := json.Unmarshal(text, &o); err != nil {
		return nil, err
	}
	return &o, nil
}

func (c *cache) set(ctx context.Context, o *order) error {
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return c.client.Set(ctx, "order:"+o.ID, text, keepTime).Err()
}

// placed caches the order and counts its product, in one round trip.
func (c *cache) placed(ctx context.Context, o *order) error {
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	_, err = c.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, "order:"+o.ID, text, keepTime)
		p.ZIncrBy(ctx, "bestsellers", 1, strconv.Itoa(int(o.Product)))
		return nil
	})
	return err
}

func (c *cache) drop(ctx context.Context, id string) error {
	return c.client.Del(ctx, "order:"+id).Err()
}
