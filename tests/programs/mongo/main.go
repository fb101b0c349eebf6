// Mongo is an HTTP server whose handlers make commands in MongoDB by its driver, each a known number of them. The server is a
// stand-in of its own that speaks the protocol. With the tag v2 it uses the driver's second major.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

// What must be in nothing that is told of a command.
const secret = "s3cr3tValue"

type server struct {
	client *client
	flaky  *client // whose connections break
	slow   *client
	work   chan chan error
}

var (
	closed sync.Map
	value  = doc{{Key: "a", Value: secret}}
	set    = doc{{Key: "$set", Value: value}}
)

// closedOnce says whether the connection was closed before at a command with this filter.
func closedOnce(command doc) bool {
	_, was := closed.LoadOrStore(fmt.Sprint(get(command, "filter")), true)
	return was
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func wanted(err error) error {
	if err == nil {
		return fmt.Errorf("there was no error")
	}
	return nil
}

func (s *server) of(name string) *collection { return s.client.Database("shop").Collection(name) }

func insert(ctx context.Context, of *collection) error {
	_, err := of.InsertOne(ctx, value)
	return err
}

func find(ctx context.Context, of *collection, filter any) error {
	cursor, err := of.Find(ctx, filter)
	if err != nil {
		return err
	}
	var all []doc
	return cursor.All(ctx, &all)
}

// commands: insert of one and of three, find, update, delete, findAndModify, aggregate.
func (s *server) commands(ctx context.Context) error {
	orders := s.of("orders")
	_, many := orders.InsertMany(ctx, []any{value, value, value})
	_, update := orders.UpdateOne(ctx, value, set)
	_, deleted := orders.DeleteMany(ctx, value)
	_, count := orders.CountDocuments(ctx, value)
	return first(insert(ctx, orders), many, find(ctx, orders, value), update, deleted, count,
		orders.FindOneAndUpdate(ctx, value, set).Err())
}

// cursors: find, and getMore for the rest.
func (s *server) cursors(ctx context.Context) error { return find(ctx, s.of("many"), value) }

// failing: a duplicate key, a write concern, and what the server refuses.
func (s *server) failing(ctx context.Context) error {
	return first(wanted(insert(ctx, s.of("duplicates"))), wanted(insert(ctx, s.of("concerns"))),
		wanted(find(ctx, s.of("forbidden"), value)))
}

// run: ping, and two commands whose names are none.
func (s *server) run(ctx context.Context) error {
	shop := s.client.Database("shop")
	return first(shop.RunCommand(ctx, doc{{Key: "ping", Value: 1}}).Err(),
		shop.RunCommand(ctx, doc{{Key: "a name with " + secret, Value: 1}}).Err(),
		shop.RunCommand(ctx, doc{{Key: strings.Repeat("long", 5000), Value: 1}}).Err())
}

// hostile: insert into collections that are too long or no text, and into a database whose name is too long.
func (s *server) hostile(ctx context.Context) error {
	return first(insert(ctx, s.of(strings.Repeat("x", 300))), insert(ctx, s.of(strings.Repeat("y", 1<<20))),
		insert(ctx, s.of("\xff\xfe\x01")), insert(ctx, s.client.Database(strings.Repeat("z", 70)).Collection("orders")))
}

// background: insert with a context of nobody, on the request's own goroutine.
func (s *server) background(context.Context) error {
	return insert(context.Background(), s.of("orders"))
}

// spawned: insert on a goroutine of its own with the request's context.
func (s *server) spawned(ctx context.Context) error {
	done := make(chan error)
	go func() { done <- insert(ctx, s.of("orders")) }()
	return <-done
}

// session: find with a context that the driver made of the request's.
func (s *server) session(ctx context.Context) error {
	return inSession(ctx, s.client, func(ctx context.Context) error { return find(ctx, s.of("orders"), value) })
}

// nobody: insert by a goroutine that belongs to no request.
func (s *server) nobody(context.Context) error {
	done := make(chan error)
	s.work <- done
	return <-done
}

// retried: find, whose connection breaks, and find once more.
func (s *server) retried(ctx context.Context) error {
	filter := doc{{Key: "a", Value: fmt.Sprint(secret, time.Now().UnixNano())}}
	return find(ctx, s.flaky.Database("shop").Collection("flaky"), filter)
}

// canceled: insert that is given up before its answer, when the server has it: how long the way there is nobody knows.
func (s *server) canceled(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	there := make(chan struct{})
	go func() {
		<-arrived
		close(there)
		cancel()
	}()
	err := insert(ctx, s.slow.Database("shop").Collection("slow"))
	select {
	case <-there:
		givenUp <- struct{}{}
	default:
	}
	return wanted(err)
}

// finds: 10 find. For measuring.
func (s *server) finds(ctx context.Context) error {
	for i := 0; i < 10; i++ {
		if err := find(ctx, s.of("orders"), value); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	uri := "mongodb://" + standIn() + "/?heartbeatFrequencyMS=500"
	s := &server{work: make(chan chan error)}
	for _, c := range []**client{&s.client, &s.flaky, &s.slow} {
		made, err := connect(uri)
		if err != nil {
			panic(err)
		}
		*c = made
		if err := insert(context.Background(), made.Database("shop").Collection("orders")); err != nil {
			panic(err)
		}
	}
	go func() {
		for done := range s.work {
			done <- insert(context.Background(), s.of("orders"))
		}
	}()
	for path, run := range map[string]func(context.Context) error{
		"/commands": s.commands, "/cursors": s.cursors, "/failing": s.failing, "/run": s.run, "/hostile": s.hostile,
		"/background": s.background, "/spawned": s.spawned, "/session": s.session, "/nobody": s.nobody, "/retried": s.retried,
		"/canceled": s.canceled, "/finds": s.finds,
	} {
		run := run
		http.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if err := run(r.Context()); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
		})
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go http.Serve(listener, nil)
	fmt.Println("listening", listener.Addr())
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
}
