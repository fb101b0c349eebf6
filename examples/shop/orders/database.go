package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"trigon.dev/examples/shop/internal/service"
)

// poolSize is few on purpose: under load, calls wait for a connection, as they do in many real services.
const poolSize = 8

// schema, products and past are understood by both databases. The orders of the past, o0 to o1999, are there so that
// orders can be shown and cancelled from the first request on.
const (
	schema = `CREATE TABLE IF NOT EXISTS orders (
	id TEXT PRIMARY KEY, product INTEGER NOT NULL, amount_cents BIGINT NOT NULL, state TEXT NOT NULL)`
	stock    = `CREATE TABLE IF NOT EXISTS stock (product INTEGER PRIMARY KEY, sold BIGINT NOT NULL)`
	products = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
	INSERT INTO stock (product, sold) SELECT i, 0 FROM n WHERE true ON CONFLICT DO NOTHING`
	past = `WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 1999)
	INSERT INTO orders (id, product, amount_cents, state)
	SELECT 'o' || i, i % 500 + 1, 1000 + i, 'placed' FROM n WHERE true ON CONFLICT DO NOTHING`
)

// openDatabase returns an open database with all tables, and what is left to do when it has been closed.
func openDatabase(ctx context.Context, address string) (*sql.DB, func(), error) {
	driver, source, cleanup, err := choose(address)
	if err != nil {
		return nil, nil, err
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		cleanup()
		return nil, nil, err
	}
	db.SetMaxOpenConns(poolSize)
	db.SetMaxIdleConns(poolSize)
	if err := prepare(ctx, db); err != nil {
		err = errors.Join(err, db.Close())
		cleanup()
		return nil, nil, err
	}
	return db, cleanup, nil
}

// prepare waits for the database and makes the tables and rows that are missing.
func prepare(ctx context.Context, db *sql.DB) error {
	if err := service.Wait(ctx, db.PingContext); err != nil {
		return err
	}
	for _, statement := range []string{schema, stock, products, past} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// choose returns the driver and its data source for an address, and what removes the database when it is temporary.
func choose(address string) (driver, source string, cleanup func(), err error) {
	cleanup = func() {}
	scheme, rest, _ := strings.Cut(address, ":")
	switch scheme {
	case "postgres", "postgresql":
		return "pgx", address, cleanup, nil
	case "sqlite":
		file := rest
		if file == "" {
			folder, err := os.MkdirTemp("", "shop-orders-")
			if err != nil {
				return "", "", nil, err
			}
			cleanup = func() { os.RemoveAll(folder) }
			file = filepath.Join(folder, "orders.db")
		}
		return "sqlite", "file:" + (&url.URL{Path: file}).EscapedPath() + "?" + sqliteOptions.Encode(), cleanup, nil
	}
	return "", "", nil, fmt.Errorf("%q is neither sqlite:FILE nor postgres://…", address)
}

// sqliteOptions let readers go on beside the one writer, and let writers wait for each other: a transaction that began
// as a reader could not, so it takes the write lock when it begins.
var sqliteOptions = url.Values{
	"_pragma": {"journal_mode(WAL)", "synchronous(NORMAL)", "busy_timeout(10000)"},
	"_txlock": {"immediate"},
}
