package main

import (
	"context"
	"database/sql"
	"errors"
)

var errNoOrder = errors.New("no such order")

type order struct {
	ID          string `json:"id"`
	Product     int32  `json:"product"`
	AmountCents int64  `json:"amount_cents"`
	State       string `json:"state"`
}

// store is the orders in the database.
type store struct {
	db      *sql.DB
	byID    *sql.Stmt
	cleanup func()
}

func openStore(ctx context.Context, address string) (*store, error) {
	db, cleanup, err := openDatabase(ctx, address)
	if err != nil {
		return nil, err
	}
	s := &store{db: db, cleanup: cleanup}
	// The query that runs most is prepared once.
	s.byID, err = db.PrepareContext(ctx, `SELECT id, product, amount_cents, state FROM orders WHERE id = $1`)
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *store) close() {
	if s.byID != nil {
		s.byID.Close()
	}
	s.db.Close()
	s.cleanup()
}

// place writes the order and counts what is sold, both or neither.
func (s *store) place(ctx context.Context, o *order) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	// After Commit it does nothing.
	defer tx.Rollback()
	_, err = tx.ExecContext(ctx, `INSERT INTO orders (id, product, amount_cents, state) VALUES ($1, $2, $3, $4)
		ON CONFLICT (id) DO UPDATE
		SET product = excluded.product, amount_cents = excluded.amount_cents, state = excluded.state`,
		o.ID, o.Product, o.AmountCents, o.State)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE stock SET sold = sold + 1 WHERE product = $1`, o.Product); err != nil {
		return err
	}
	return tx.Commit()
}

func (s *store) get(ctx context.Context, id string) (*order, error) {
	return scan(s.byID.QueryRowContext(ctx, id))
}

func (s *store) cancel(ctx context.Context, id string) (*order, error) {
	return scan(s.db.QueryRowContext(ctx,
		`UPDATE orders SET state = 'cancelled' WHERE id = $1 RETURNING id, product, amount_cents, state`, id))
}

func scan(row *sql.Row) (*order, error) {
	var o order
	err := row.Scan(&o.ID, &o.Product, &o.AmountCents, &o.State)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoOrder
	}
	return &o, err
}
