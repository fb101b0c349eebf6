package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// client calls the payments service in the caller's context, which bounds it. It adds no header of its own.
type client struct {
	base string
	http *http.Client
}

func newClient(base string) *client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 64
	return &client{base: base, http: &http.Client{Transport: transport}}
}

// call returns the status of the answer and decodes its body into out.
func (c *client) call(ctx context.Context, method, path string, in, out any) (int, error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return 0, err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return 0, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxBody)).Decode(out); err != nil {
		return resp.StatusCode, fmt.Errorf("payments answered %d and no JSON: %w", resp.StatusCode, err)
	}
	// Read to the end, so that the connection can be used again.
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

type answer struct {
	ID    string `json:"id"`
	State string `json:"state"`
	Error string `json:"error"`
}
