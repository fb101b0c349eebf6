//go:build few

// Few makes a statement and a query in the PostgreSQL at an address, and nothing else: the linker leaves out whatever pgx has
// for batches and copies.
package main

import (
	"context"
	"os"

	"github.com/jackc/pgx/v5"
)

func main() {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, os.Args[1])
	if err != nil {
		panic(err)
	}
	if _, err := conn.Exec(ctx, "INSERT INTO things (a) VALUES ('x')"); err != nil {
		panic(err)
	}
	rows, err := conn.Query(ctx, "SELECT a FROM things")
	if err != nil {
		panic(err)
	}
	rows.Close()
}
