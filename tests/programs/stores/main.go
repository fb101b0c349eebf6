// Stores is an HTTP server whose handlers call a database behind database/sql and a Redis, each a known number of times.
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
	"syscall"
	"time"
	"unsafe"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// What must be in nothing that is told of a statement.
const secret = "s3cr3tValue"

type stores struct {
	db     *sql.DB
	narrow *sql.DB // of one connection
	cache  *redis.Client
	dead   *redis.Client // nobody listens there
}

func (s *stores) rows(rows *sql.Rows, err error) error {
	if err != nil {
		return err
	}
	for rows.Next() {
	}
	return rows.Close()
}

// statements: 2 SELECT, 1 INSERT, 1 UPDATE, 1 without an operation.
func (s *stores) statements(ctx context.Context) error {
	return first(
		s.rows(s.db.QueryContext(ctx, "select a from t where b = '"+secret+"' and c = ?", secret)),
		s.rows(s.db.QueryContext(ctx, "/* who: "+secret+" */ -- "+secret+"\n SELECT a FROM t WHERE b IN ('"+secret+"', 17)")),
		exec(s.db.ExecContext(ctx, "INSERT INTO t (a) VALUES ('"+secret+"')")),
		exec(s.db.ExecContext(ctx, "Update t set a = '"+secret+"' where b in ("+strings.Repeat("'"+secret+"',", 200)+"0)")),
		exec(s.db.ExecContext(ctx, "'"+secret+"' is no statement")),
	)
}

// skipped: 1 SELECT, 1 DELETE, each over a prepared statement, and 1 SELECT that fails there.
func (s *stores) skipped(ctx context.Context) error {
	err := first(
		s.rows(s.db.QueryContext(ctx, "SELECT /*skip*/ a FROM t")),
		exec(s.db.ExecContext(ctx, "DELETE /*skip*/ FROM t")),
	)
	return first(err, wanted(s.rows(s.db.QueryContext(ctx, "SELECT /*skip*/ /*late*/ a FROM t"))))
}

// failing: 1 SELECT, 1 INSERT, 1 DELETE in a transaction, all errors; BEGIN and ROLLBACK.
func (s *stores) failing(ctx context.Context) error {
	err := first(
		wanted(s.rows(s.db.QueryContext(ctx, "SELECT /*fail*/ a FROM t WHERE b = '"+secret+"'"))),
		wanted(exec(s.db.ExecContext(ctx, "INSERT /*fail*/ INTO t VALUES (1)"))),
	)
	tx, begin := s.db.BeginTx(ctx, nil)
	if begin != nil {
		return begin
	}
	return first(err, wanted(exec(tx.ExecContext(ctx, "DELETE /*fail*/ FROM t"))), tx.Rollback())
}

// transaction: BEGIN, INSERT, SELECT, COMMIT; and a ROLLBACK of a transaction that is done, which nobody hears of.
func (s *stores) transaction(ctx context.Context) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	return first(
		exec(tx.ExecContext(ctx, "INSERT INTO t VALUES (?)", secret)),
		s.rows(tx.QueryContext(ctx, "SELECT a FROM t")),
		tx.Commit(),
	)
}

// prepared: PREPARE, 2 SELECT, 1 that fails to be prepared, PREPARE and UPDATE in a transaction with BEGIN, COMMIT.
func (s *stores) prepared(ctx context.Context) error {
	stmt, err := s.db.PrepareContext(ctx, "SELECT a FROM t WHERE b = '"+secret+"'")
	if err != nil {
		return err
	}
	defer stmt.Close()
	_, failed := s.db.PrepareContext(ctx, "SELECT /*unprepared*/ a FROM t")
	err = first(s.rows(stmt.QueryContext(ctx)), s.rows(stmt.QueryContext(ctx, secret)), wanted(failed))
	tx, begin := s.db.BeginTx(ctx, nil)
	if begin != nil {
		return begin
	}
	update, failed := tx.PrepareContext(ctx, "UPDATE t SET a = ?")
	if failed != nil {
		return failed
	}
	return first(err, exec(update.ExecContext(ctx, secret)), tx.Commit())
}

// lost: the connection is lost once, twice, and for good: 2 SELECT and 1 SELECT that is an error.
func (s *stores) lost(ctx context.Context) error {
	badLeft.Store(1)
	err := s.rows(s.db.QueryContext(ctx, "SELECT /*bad*/ a FROM t"))
	badLeft.Store(2)
	err = first(err, s.rows(s.db.QueryContext(ctx, "SELECT /*bad*/ a FROM t")))
	badLeft.Store(1000)
	err = first(err, wanted(s.rows(s.db.QueryContext(ctx, "SELECT /*bad*/ a FROM t"))))
	badLeft.Store(0)
	return err
}

// background: 1 SELECT with a context of nobody, on the request's own goroutine, and 1 UPDATE over a connection of its own.
func (s *stores) background(ctx context.Context) error {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return first(
		s.rows(s.db.Query("SELECT 1")),
		exec(conn.ExecContext(ctx, "UPDATE t SET a = 1")),
	)
}

// waiting: a SELECT that keeps the only connection of a pool, an UPDATE that waits for it, and a SELECT from a table whose name
// says how many nanoseconds that was.
func (s *stores) waiting(ctx context.Context) error {
	before := s.narrow.Stats()
	rows, err := s.narrow.QueryContext(ctx, "SELECT a FROM t")
	if err != nil {
		return err
	}
	go func() {
		for s.narrow.Stats().WaitCount == before.WaitCount {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(5 * time.Millisecond)
		rows.Close()
	}()
	if err := exec(s.narrow.ExecContext(ctx, "UPDATE t SET a = 1")); err != nil {
		return err
	}
	waited := s.narrow.Stats().WaitDuration - before.WaitDuration
	return s.rows(s.db.QueryContext(ctx, fmt.Sprintf("SELECT a FROM waited_%d", waited.Nanoseconds())))
}

// canceled: 1 SELECT that never gets to the driver.
func (s *stores) canceled(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return wanted(s.rows(s.db.QueryContext(ctx, "SELECT a FROM t")))
}

// unread: 1 DELETE that never gets to the driver, whose text lies in a page that was never looked at.
func (s *stores) unread(ctx context.Context) error {
	file, err := os.CreateTemp("", "statement")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	length, err := file.WriteString("DELETE FROM t WHERE a = '" + secret + "'")
	if err != nil {
		return err
	}
	page, err := syscall.Mmap(int(file.Fd()), 0, length, syscall.PROT_READ, syscall.MAP_PRIVATE)
	if err != nil {
		return err
	}
	defer syscall.Munmap(page)
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return wanted(exec(s.db.ExecContext(ctx, unsafe.String(unsafe.SliceData(page), length))))
}

// done: BEGIN and COMMIT; an INSERT in that transaction never gets to the driver, and the Ping that fails thereafter is
// nobody's end.
func (s *stores) done(ctx context.Context) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	err = tx.Commit()
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	_, prepared := tx.PrepareContext(ctx, "DELETE FROM t")
	return first(err, wanted(prepared),
		wanted(exec(tx.ExecContext(ctx, "INSERT INTO t VALUES (1)"))), wanted(s.db.PingContext(canceled)),
	)
}

// cached: SET, 2 GET (one of a key that is not there), and an INCR that fails.
func (s *stores) cached(ctx context.Context) error {
	s.cache.Del(ctx, "gone")
	err := first(
		s.cache.Set(ctx, "key", secret, 0).Err(),
		s.cache.Get(ctx, "key").Err(),
		wanted(s.cache.Incr(ctx, "key").Err()),
	)
	if missing := s.cache.Get(ctx, "gone").Err(); missing != redis.Nil {
		err = first(err, fmt.Errorf("not redis.Nil: %v", missing))
	}
	return err
}

// pipelined: a pipeline of three commands, a transaction of two.
func (s *stores) pipelined(ctx context.Context) error {
	_, err := s.cache.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, key := range []string{"a", "b", "c"} {
			p.Set(ctx, key, secret, 0)
		}
		return nil
	})
	_, multi := s.cache.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, "x", secret, 0)
		p.Get(ctx, "x")
		return nil
	})
	return first(err, multi)
}

// unreachable: a PING that is tried three times, and fails.
func (s *stores) unreachable(ctx context.Context) error {
	return wanted(s.dead.Ping(ctx).Err())
}

// selects: 10 SELECT. For measuring.
func (s *stores) selects(ctx context.Context) error {
	for i := 0; i < 10; i++ {
		if err := s.rows(s.db.QueryContext(ctx, "SELECT a FROM t WHERE b = ?", 1)); err != nil {
			return err
		}
	}
	return nil
}

// gets: 10 GET. For measuring.
func (s *stores) gets(ctx context.Context) error {
	for i := 0; i < 10; i++ {
		if err := s.cache.Get(ctx, "key").Err(); err != nil && err != redis.Nil {
			return err
		}
	}
	return nil
}

func exec(_ sql.Result, err error) error { return err }

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

func main() {
	sql.Register("fake", fakeDriver{})
	db, err := sql.Open("fake", "")
	if err != nil {
		panic(err)
	}
	// A Redis that is there already, or a stand-in.
	address := ""
	if len(os.Args) > 1 {
		address = os.Args[1]
	} else if server, err := miniredis.Run(); err == nil {
		address = server.Addr()
	} else {
		panic(err)
	}
	narrow, err := sql.Open("fake", "")
	if err != nil {
		panic(err)
	}
	narrow.SetMaxOpenConns(1)
	s := &stores{
		db:     db,
		narrow: narrow,
		cache:  redis.NewClient(&redis.Options{Addr: address}),
		dead:   redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: 2}),
	}
	for path, run := range map[string]func(context.Context) error{
		"/statements": s.statements, "/skipped": s.skipped, "/failing": s.failing, "/transaction": s.transaction,
		"/waiting": s.waiting, "/prepared": s.prepared, "/lost": s.lost, "/background": s.background, "/canceled": s.canceled,
		"/done": s.done, "/unread": s.unread,
		"/cached": s.cached, "/pipelined": s.pipelined, "/unreachable": s.unreachable,
		"/selects": s.selects, "/gets": s.gets,
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
	fmt.Println("redis", address)
	fmt.Println("listening", listener.Addr())
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
}
