//go:build v2

package main

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

type (
	doc        = bson.D
	list       = bson.A
	collection = mongo.Collection
	client     = mongo.Client
)

var (
	marshal   = bson.Marshal
	unmarshal = bson.Unmarshal
)

// monitor is told of each command, if there is one.
var monitor *event.CommandMonitor

func connect(uri string) (*client, error) {
	return mongo.Connect(options.Client().ApplyURI(uri).SetMonitor(monitor))
}

// inSession calls a function with the context of a session.
func inSession(ctx context.Context, c *client, run func(context.Context) error) error {
	return c.UseSession(ctx, run)
}
