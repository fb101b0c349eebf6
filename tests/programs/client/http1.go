package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// errNoResponse: the server closed the connection instead of answering.
var errNoResponse = errors.New("connection closed before a response")

// http1 is one HTTP/1.1 connection at a time. It is written by hand because net/http's client sends a request again
// when a reused connection breaks, and then nobody knows how often a handler that panics was called.
type http1 struct {
	opts   *options
	conn   net.Conn
	reader *bufio.Reader
	out    []byte
	opened uint64
	read   uint64
}

func (h *http1) dial() error {
	conn, err := h.opts.dialer.Dial("tcp", h.opts.host)
	if err != nil {
		return err
	}
	if h.opts.tls {
		t := tls.Client(conn, &tls.Config{
			InsecureSkipVerify: h.opts.insecure, ServerName: h.opts.hostname, NextProtos: []string{"http/1.1"},
		})
		if err := t.Handshake(); err != nil {
			conn.Close()
			return err
		}
		conn = t
	}
	h.conn, h.reader = conn, bufio.NewReaderSize(conn, 16<<10)
	h.opened++
	return nil
}

func (h *http1) close() {
	if h.conn != nil {
		h.conn.Close()
		h.conn = nil
	}
}

// do sends one request exactly once and reads the response to its end.
func (h *http1) do(e *entry, number int, trace []byte) (int, error) {
	if h.conn == nil {
		if err := h.dial(); err != nil {
			return 0, fmt.Errorf("dial: %w", err)
		}
	}
	h.encode(e, number, trace)
	if err := h.conn.SetDeadline(time.Now().Add(h.opts.timeout)); err != nil {
		h.close()
		return 0, err
	}
	if _, err := h.conn.Write(h.out); err != nil {
		h.close()
		return 0, fmt.Errorf("write: %w", err)
	}
	status, reuse, err := h.response(e.Method)
	if err != nil || !reuse || !h.opts.keepalive {
		h.close()
	}
	return status, err
}

func (h *http1) encode(e *entry, number int, trace []byte) {
	b := append(h.out[:0], e.Method...)
	b = append(b, ' ')
	b = e.appendPath(b, number)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, h.opts.host...)
	b = append(b, "\r\n"...)
	for name, value := range e.Headers {
		b = append(append(append(append(b, name...), ": "...), value...), "\r\n"...)
	}
	if len(trace) > 0 {
		b = append(append(append(b, "Traceparent: "...), trace...), "\r\n"...)
		if h.opts.tracestate != "" {
			b = append(append(append(b, "Tracestate: "...), h.opts.tracestate...), "\r\n"...)
		}
	}
	if !h.opts.keepalive {
		b = append(b, "Connection: close\r\n"...)
	}
	if len(e.body) > 0 || e.Method == "POST" || e.Method == "PUT" {
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, int64(len(e.body)), 10)
		b = append(b, "\r\n"...)
	}
	b = append(b, "\r\n"...)
	h.out = append(b, e.body...)
}

// response reads one response and tells whether the connection can be used again.
func (h *http1) response(method string) (status int, reuse bool, err error) {
	for {
		line, err := h.line()
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = errNoResponse
			}
			return 0, false, err
		}
		// HTTP/1.1 200 OK
		if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) {
			return 0, false, fmt.Errorf("not a status line: %.40q", line)
		}
		if status, err = strconv.Atoi(string(line[9:12])); err != nil {
			return 0, false, fmt.Errorf("not a status line: %.40q", line)
		}
		reuse = line[7] == '1'
		length, chunked := int64(-1), false
		for {
			line, err := h.line()
			if err != nil {
				return 0, false, err
			}
			if len(line) == 0 {
				break
			}
			name, value, _ := bytes.Cut(line, []byte(":"))
			value = bytes.TrimSpace(value)
			switch {
			case bytes.EqualFold(name, []byte("content-length")):
				if length, err = strconv.ParseInt(string(value), 10, 64); err != nil || length < 0 {
					return 0, false, fmt.Errorf("bad content-length %.20q", value)
				}
			case bytes.EqualFold(name, []byte("transfer-encoding")):
				chunked = bytes.EqualFold(value, []byte("chunked"))
			case bytes.EqualFold(name, []byte("connection")):
				if bytes.EqualFold(value, []byte("close")) {
					reuse = false
				}
			}
		}
		if status < 200 && status != 101 {
			continue
		}
		switch {
		case method == "HEAD" || status == 204 || status == 304 || status == 101:
			return status, reuse && status != 101, nil
		case chunked:
			return status, reuse, h.chunks()
		case length >= 0:
			return status, reuse, h.skip(length)
		}
		n, err := io.Copy(io.Discard, h.reader)
		h.read += uint64(n)
		return status, false, err
	}
}

func (h *http1) line() ([]byte, error) {
	line, err := h.reader.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	return bytes.TrimRight(line, "\r\n"), nil
}

func (h *http1) skip(n int64) error {
	for n > 0 {
		part := n
		if part > 1<<30 {
			part = 1 << 30
		}
		got, err := h.reader.Discard(int(part))
		h.read += uint64(got)
		if err != nil {
			return fmt.Errorf("body: %w", err)
		}
		n -= part
	}
	return nil
}

func (h *http1) chunks() error {
	for {
		line, err := h.line()
		if err != nil {
			return fmt.Errorf("body: %w", err)
		}
		size, err := strconv.ParseInt(string(line), 16, 64)
		if err != nil || size < 0 {
			return fmt.Errorf("bad chunk size %.20q", line)
		}
		if err := h.skip(size); err != nil {
			return err
		}
		if _, err := h.line(); err != nil { // the end of the chunk, or of the (empty) trailer
			return fmt.Errorf("body: %w", err)
		}
		if size == 0 {
			return nil
		}
	}
}

func (h *http1) stats() (opened, read uint64) { return h.opened, h.read }
