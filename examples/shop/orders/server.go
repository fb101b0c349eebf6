package main

import (
	"context"
	"errors"
	"log"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"trigon.dev/examples/shop/orderspb"
)

type server struct {
	orderspb.UnimplementedOrdersServer
	store  *store
	cache  *cache
	events *events
}

func (s *server) Place(ctx context.Context, r *orderspb.PlaceRequest) (*orderspb.Order, error) {
	if r.GetId() == "" || r.GetProduct() < 1 || r.GetAmountCents() <= 0 {
		return nil, status.Error(codes.InvalidArgument, "id, product and amount_cents are needed")
	}
	o := &order{ID: r.GetId(), Product: r.GetProduct(), AmountCents: r.GetAmountCents(), State: "placed"}
	if err := s.store.place(ctx, o); err != nil {
		return nil, failed("place", err)
	}
	if err := s.cache.placed(ctx, o); err != nil {
		log.Printf("cache: %v", err)
	}
	if err := s.events.publish(ctx, o); err != nil {
		return nil, failed("publish", err)
	}
	return o.message(), nil
}

func (s *server) Get(ctx context.Context, r *orderspb.GetRequest) (*orderspb.Order, error) {
	o, err := s.cache.get(ctx, r.GetId())
	if err != nil {
		log.Printf("cache: %v", err)
	}
	if o != nil {
		return o.message(), nil
	}
	if o, err = s.store.get(ctx, r.GetId()); err != nil {
		return nil, failed("get", err)
	}
	if err := s.cache.set(ctx, o); err != nil {
		log.Printf("cache: %v", err)
	}
	return o.message(), nil
}

func (s *server) Cancel(ctx context.Context, r *orderspb.CancelRequest) (*orderspb.Order, error) {
	o, err := s.store.cancel(ctx, r.GetId())
	if err != nil {
		return nil, failed("cancel", err)
	}
	if err := s.cache.drop(ctx, o.ID); err != nil {
		log.Printf("cache: %v", err)
	}
	if err := s.events.publish(ctx, o); err != nil {
		return nil, failed("publish", err)
	}
	return o.message(), nil
}

func (o *order) message() *orderspb.Order {
	return &orderspb.Order{Id: o.ID, Product: o.Product, AmountCents: o.AmountCents, State: o.State}
}

// failed gives an error the status that a caller can act on.
func failed(what string, err error) error {
	switch {
	case errors.Is(err, errNoOrder):
		return status.Error(codes.NotFound, "no such order")
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, what+": the caller is gone")
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, what+": took too long")
	}
	log.Printf("%s: %v", what, err)
	return status.Error(codes.Internal, what+" failed")
}
