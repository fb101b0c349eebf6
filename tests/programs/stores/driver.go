package main

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"time"
)

// fakeDriver is a database that does what a statement's comment asks for: /*fail*/, /*skip*/ (the driver leaves it to a
// prepared statement), /*bad N*/ (the connection is lost N times), /*slow*/.
type fakeDriver struct{}

var badLeft atomic.Int64

func (fakeDriver) Open(string) (driver.Conn, error) { return &fakeConn{}, nil }

type fakeConn struct{}

func answer(query string) error {
	switch {
	case strings.Contains(query, "/*fail*/"):
		return errors.New("the database says no")
	case strings.Contains(query, "/*skip*/"):
		return driver.ErrSkip
	case strings.Contains(query, "/*bad*/"):
		if badLeft.Add(-1) >= 0 {
			return driver.ErrBadConn
		}
	case strings.Contains(query, "/*slow*/"):
		time.Sleep(30 * time.Millisecond)
	}
	return nil
}

func (c *fakeConn) Prepare(query string) (driver.Stmt, error) {
	if strings.Contains(query, "/*unprepared*/") {
		return nil, errors.New("no such table")
	}
	return &fakeStmt{query}, nil
}
func (c *fakeConn) Close() error { return nil }
func (c *fakeConn) Begin() (driver.Tx, error) {
	return fakeTx{}, nil
}
func (c *fakeConn) QueryContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Rows, error) {
	if err := answer(query); err != nil {
		return nil, err
	}
	return &fakeRows{}, nil
}
func (c *fakeConn) ExecContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Result, error) {
	if err := answer(query); err != nil {
		return nil, err
	}
	return driver.RowsAffected(1), nil
}

type fakeTx struct{}

func (fakeTx) Commit() error   { return nil }
func (fakeTx) Rollback() error { return nil }

type fakeStmt struct{ query string }

func (s *fakeStmt) Close() error  { return nil }
func (s *fakeStmt) NumInput() int { return -1 }
func (s *fakeStmt) fails() error {
	if strings.Contains(s.query, "/*late*/") {
		return errors.New("the statement says no")
	}
	return nil
}
func (s *fakeStmt) Exec([]driver.Value) (driver.Result, error) {
	return driver.RowsAffected(1), s.fails()
}
func (s *fakeStmt) Query([]driver.Value) (driver.Rows, error) {
	if err := s.fails(); err != nil {
		return nil, err
	}
	return &fakeRows{}, nil
}

type fakeRows struct{ done bool }

func (r *fakeRows) Columns() []string { return []string{"a"} }
func (r *fakeRows) Close() error      { return nil }
func (r *fakeRows) Next(to []driver.Value) error {
	if r.done {
		return io.EOF
	}
	r.done = true
	to[0] = int64(1)
	return nil
}
