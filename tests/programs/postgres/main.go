//go:build !few

// Postgres is an HTTP server whose handlers make statements in PostgreSQL by pgx, each a known number of them. With an address
// it uses the server there, in which it makes a table; without, a stand-in of its own that speaks the protocol.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// What must be in nothing that is told of a statement.
const secret = "s3cr3tValue"

type postgres struct {
	pool *pgxpool.Pool
	calm *pgxpool.Pool // on which no statement fails that the server has seen
	one  *pgxpool.Pool // of one connection
	db   *sql.DB
}

func exec(_ any, err error) error { return err }

func copied(_ int64, err error) error { return err }

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

func rows(rows pgx.Rows, err error) error {
	if err != nil {
		return err
	}
	for rows.Next() {
	}
	// What a program likes: Close may come more than once.
	rows.Close()
	rows.Close()
	return rows.Err()
}

// statements: 2 INSERT, 1 UPDATE whose text is cut.
func (s *postgres) statements(ctx context.Context) error {
	return first(
		exec(s.pool.Exec(ctx, "INSERT INTO things (a) VALUES ('"+secret+"')")),
		exec(s.pool.Exec(ctx, "INSERT INTO things (a) VALUES ($1)", secret)),
		exec(s.pool.Exec(ctx, "Update things set a = '"+secret+"' where a in ("+strings.Repeat("'"+secret+"',", 200)+"'')")),
	)
}

// queries: 5 SELECT: all rows, the first, none, closed early, in the simple protocol.
func (s *postgres) queries(ctx context.Context) error {
	err := rows(s.pool.Query(ctx, "SELECT a FROM things WHERE a <> '"+secret+"' AND a <> $1", secret))
	var a string
	err = first(err, s.pool.QueryRow(ctx, "SELECT a FROM \"things\" LIMIT 3").Scan(&a))
	if missing := s.pool.QueryRow(ctx, "SELECT a FROM things WHERE a = 'none'").Scan(&a); missing != pgx.ErrNoRows {
		err = first(err, fmt.Errorf("not pgx.ErrNoRows: %v", missing))
	}
	early, failed := s.pool.Query(ctx, "SELECT a FROM things LIMIT 3")
	if failed == nil {
		early.Next()
		early.Close()
	}
	return first(err, failed, rows(s.pool.Query(ctx, "SELECT a FROM things LIMIT 3", pgx.QueryExecModeSimpleProtocol)))
}

// failing: INSERT and SELECT that fail to be parsed, DELETE and SELECT that fail when they are made, a SELECT whose number of
// arguments is wrong.
func (s *postgres) failing(ctx context.Context) error {
	var a string
	return first(
		wanted(exec(s.pool.Exec(ctx, "INSERT INTO things SELEKT $1", secret))),
		wanted(rows(s.pool.Query(ctx, "SELECT SELEKT FROM FROM things WHERE a = '"+secret+"'"))),
		wanted(exec(s.pool.Exec(ctx, "DELETE FROM things WHERE 1 / 0 = 1"))),
		wanted(s.pool.QueryRow(ctx, "SELECT (1 / 0)::text").Scan(&a)),
		wanted(rows(s.pool.Query(ctx, "SELECT a FROM things WHERE a = $1", secret, secret))),
	)
}

// transaction: BEGIN, INSERT, SELECT, COMMIT; BEGIN, DELETE, ROLLBACK.
func (s *postgres) transaction(ctx context.Context) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		return first(
			exec(tx.Exec(ctx, "INSERT INTO things (a) VALUES ($1)", secret)),
			rows(tx.Query(ctx, "SELECT a FROM things LIMIT 3")),
		)
	})
	tx, begin := s.pool.Begin(ctx)
	if begin != nil {
		return begin
	}
	return first(err, exec(tx.Exec(ctx, "DELETE FROM things WHERE a = 'none'")), tx.Rollback(ctx))
}

// nested: INSERTs over another connection while the rows of a SELECT are read.
func (s *postgres) nested(ctx context.Context) error {
	outer, err := s.pool.Query(ctx, "SELECT a FROM things LIMIT 3")
	if err != nil {
		return err
	}
	for i := 0; i < 2 && outer.Next(); i++ {
		err = first(err, exec(s.pool.Exec(ctx, "INSERT INTO things (a) VALUES ($1)", secret)))
	}
	outer.Close()
	return first(err, outer.Err())
}

// background: SELECT and UPDATE with a context of nobody, on the request's own goroutine.
func (s *postgres) background(context.Context) error {
	return first(
		rows(s.pool.Query(context.Background(), "SELECT a FROM things LIMIT 3")),
		exec(s.pool.Exec(context.Background(), "UPDATE things SET a = a WHERE a = 'none'")),
	)
}

// spawned: SELECT and UPDATE on a goroutine of their own, with the request's context.
func (s *postgres) spawned(ctx context.Context) error {
	done := make(chan error)
	go func() {
		done <- first(
			rows(s.pool.Query(ctx, "SELECT a FROM things LIMIT 3")),
			exec(s.pool.Exec(ctx, "UPDATE things SET a = a WHERE a = 'none'")),
		)
	}()
	return <-done
}

// batches: one of three statements, one that fails when it is made, one that is not even sent; one without statements, which
// is nothing; one in the simple protocol is beyond what a pool can be asked for.
func (s *postgres) batches(ctx context.Context) error {
	send := func(texts ...string) error {
		var batch pgx.Batch
		for _, text := range texts {
			batch.Queue(text)
		}
		results := s.pool.SendBatch(ctx, &batch)
		if len(texts) == 3 {
			more, err := results.Query()
			if err := rows(more, err); err != nil {
				return err
			}
		}
		err := results.Close()
		if again := results.Close(); (again == nil) != (err == nil) && len(texts) > 0 {
			return fmt.Errorf("closed twice: %v, %v", err, again)
		}
		return err
	}
	insert := "INSERT INTO things (a) VALUES ('" + secret + "')"
	err := first(
		send("SELECT a FROM things LIMIT 3", insert, insert),
		wanted(send(insert, "DELETE FROM things WHERE 1 / 0 = 1")),
		wanted(send(insert, "INSERT INTO things SELEKT")),
	)
	send()
	return err
}

// copies: COPY of three rows, one into a schema's table, one with a context of nobody on the request's own goroutine, and one
// within a transaction; and others that fail: into a table that is not there, of bytes that are no text, of rows that give
// up, and with a context that is done.
func (s *postgres) copies(ctx context.Context) error {
	rows := func(last string) pgx.CopyFromSource {
		return pgx.CopyFromRows([][]any{{secret}, {"b"}, {last}})
	}
	copyTo := func(ctx context.Context, source pgx.CopyFromSource, table ...string) error {
		return copied(s.pool.CopyFrom(ctx, table, []string{"a"}, source))
	}
	err := first(
		copyTo(ctx, rows("c"), "things"),
		copyTo(ctx, rows("c"), "public", "things"),
		copyTo(context.Background(), rows("c"), "things"),
		pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			return copied(tx.CopyFrom(ctx, pgx.Identifier{"things"}, []string{"a"}, rows("c")))
		}),
	)
	conn, failed := s.calm.Acquire(ctx)
	if failed != nil {
		return failed
	}
	defer conn.Release()
	done, cancel := context.WithCancel(ctx)
	cancel()
	return first(err,
		wanted(copyTo(ctx, rows("c"), "nowhere")),
		wanted(copyTo(ctx, rows("wr\x00ng"), "things")),
		wanted(copyTo(ctx, pgx.CopyFromSlice(3, func(i int) ([]any, error) {
			if i == 2 {
				return nil, fmt.Errorf("no more")
			}
			return []any{secret}, nil
		}), "things")),
		wanted(copied(conn.Conn().CopyFrom(done, pgx.Identifier{"things"}, []string{"a"}, rows("c")))),
	)
}

// waiter is a context that does something once it is waited for: once the pool, which asks for its end first, has asked its
// semaphore in vain, and that one asks again.
type waiter struct {
	context.Context
	asked int32
	then  func()
}

func (w *waiter) Done() <-chan struct{} {
	if atomic.AddInt32(&w.asked, 1) == 2 {
		go w.then()
	}
	return w.Context.Done()
}

// waiting: INSERT and SELECT that wait for the only connection of a pool, which nobody waits for before; and an INSERT that
// gives up waiting.
func (s *postgres) waiting(ctx context.Context) error {
	conn, err := s.one.Acquire(ctx)
	if err != nil {
		return err
	}
	err = exec(s.one.Exec(&waiter{Context: ctx, then: conn.Release}, "INSERT INTO things (a) VALUES ($1)", secret))
	if conn, failed := s.one.Acquire(ctx); failed != nil {
		err = first(err, failed)
	} else {
		err = first(err, rows(s.one.Query(&waiter{Context: ctx, then: conn.Release}, "SELECT a FROM things LIMIT 3")))
	}
	conn, failed := s.one.Acquire(ctx)
	if failed != nil {
		return failed
	}
	defer conn.Release()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return first(err, wanted(exec(s.one.Exec(&waiter{Context: ctx, then: cancel}, "INSERT INTO things (a) VALUES ('x')"))))
}

// canceled: INSERT and SELECT with a context that is done before them.
func (s *postgres) canceled(ctx context.Context) error {
	conn, err := s.calm.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return first(
		wanted(exec(conn.Exec(ctx, "INSERT INTO things (a) VALUES ('"+secret+"')"))),
		wanted(rows(conn.Query(ctx, "SELECT a FROM things LIMIT 3", pgx.QueryExecModeExec))),
	)
}

// standard: database/sql over pgx, whose own calls are not told: 2 SELECT, INSERT, BEGIN, UPDATE, COMMIT, and a DELETE and a
// SELECT that fail. And a SELECT and a COPY that are asked of pgx itself, past database/sql.
func (s *postgres) standard(ctx context.Context) error {
	read := func(rows *sql.Rows, err error) error {
		if err != nil {
			return err
		}
		for rows.Next() {
		}
		return rows.Close()
	}
	early, err := s.db.QueryContext(ctx, "SELECT a FROM things LIMIT 3")
	if err == nil {
		early.Next()
		err = early.Close()
	}
	err = first(err,
		read(s.db.QueryContext(ctx, "SELECT a FROM things WHERE a <> $1", secret)),
		exec(s.db.ExecContext(ctx, "INSERT INTO things (a) VALUES ($1)", secret)),
		wanted(exec(s.db.ExecContext(ctx, "DELETE FROM things WHERE 1 / 0 = 1"))),
		wanted(read(s.db.QueryContext(ctx, "SELECT SELEKT FROM FROM things"))),
	)
	tx, begin := s.db.BeginTx(ctx, nil)
	if begin != nil {
		return begin
	}
	err = first(err, exec(tx.ExecContext(ctx, "UPDATE things SET a = a WHERE a = 'none'")), tx.Commit())
	conn, failed := s.db.Conn(ctx)
	if failed != nil {
		return failed
	}
	defer conn.Close()
	return first(err, conn.Raw(func(driver any) error {
		conn := driver.(*stdlib.Conn).Conn()
		return first(
			rows(conn.Query(ctx, "SELECT a FROM things LIMIT 3")),
			copied(conn.CopyFrom(ctx, pgx.Identifier{"things"}, []string{"a"}, pgx.CopyFromRows([][]any{{secret}}))),
		)
	}))
}

// selects: 10 SELECT. For measuring.
func (s *postgres) selects(ctx context.Context) error {
	for i := 0; i < 10; i++ {
		if err := rows(s.pool.Query(ctx, "SELECT a FROM things WHERE a <> $1 LIMIT 3", secret)); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	address := standIn()
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	url := "postgres://test@" + address + "/postgres"
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, url+"?pool_max_conns=40")
	if err != nil {
		panic(err)
	}
	for _, text := range []string{
		"CREATE TABLE IF NOT EXISTS things (a text)", "INSERT INTO things VALUES ('x')", "INSERT INTO things VALUES ('y')",
		"INSERT INTO things VALUES ('z')",
	} {
		if _, err := pool.Exec(ctx, text); err != nil {
			panic(err)
		}
	}
	calm, err := pgxpool.New(ctx, url+"?pool_max_conns=40")
	if err != nil {
		panic(err)
	}
	one, err := pgxpool.New(ctx, url+"?pool_max_conns=1")
	if err != nil {
		panic(err)
	}
	db, err := sql.Open("pgx", url)
	if err != nil {
		panic(err)
	}
	s := &postgres{pool: pool, calm: calm, one: one, db: db}
	for path, run := range map[string]func(context.Context) error{
		"/statements": s.statements, "/queries": s.queries, "/failing": s.failing, "/transaction": s.transaction,
		"/nested": s.nested, "/background": s.background, "/spawned": s.spawned, "/batches": s.batches, "/copies": s.copies, "/waiting": s.waiting,
		"/canceled": s.canceled, "/standard": s.standard, "/selects": s.selects,
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
	fmt.Println("postgres", address)
	fmt.Println("listening", listener.Addr())
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
}
