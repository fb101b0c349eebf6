package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net/http"
	"time"
)

// scheme is how the backend and the middle are called: over HTTP/1.1, or with -http2 over TLS, which agrees on HTTP/2.
var scheme = "http"

// useHTTP2 makes calls go over HTTP/2, and returns what a server needs for it.
func useHTTP2(transport *http.Transport) (*tls.Config, error) {
	scheme = "https"
	transport.ForceAttemptHTTP2 = true
	// Nobody but these servers listens there.
	transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}}}, nil
}
