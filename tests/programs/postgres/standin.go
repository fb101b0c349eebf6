//go:build !few

package main

import (
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"
)

// standIn listens where pgx finds a server that speaks PostgreSQL's protocol, and returns its address. It is no database: each
// query has rows by its text alone. A text with "SELEKT" fails to be parsed, one of "nowhere" as well, one with "/ 0" fails when it
// is made; and so does a copy of a text with a zero byte, or one that the client gives up.
func standIn() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serve(conn)
		}
	}()
	return listener.Addr().String()
}

// session is one connection, by what it has been sent.
type session struct {
	backend  *pgproto3.Backend
	prepared map[string]string
	portal   string
	failed   bool // until the next Sync everything is passed over
	status   byte
	copying  bool
}

func serve(conn net.Conn) {
	defer conn.Close()
	s := session{backend: pgproto3.NewBackend(conn, conn), prepared: map[string]string{}, status: 'I'}
	for {
		message, err := s.backend.ReceiveStartupMessage()
		if err != nil {
			return
		}
		if _, ok := message.(*pgproto3.StartupMessage); ok {
			break
		}
		// No TLS.
		if _, err := conn.Write([]byte{'N'}); err != nil {
			return
		}
	}
	s.send(&pgproto3.AuthenticationOk{}, &pgproto3.ParameterStatus{Name: "standard_conforming_strings", Value: "on"},
		&pgproto3.ParameterStatus{Name: "client_encoding", Value: "UTF8"}, s.ready())
	for s.backend.Flush() == nil {
		message, err := s.backend.Receive()
		if err != nil || !s.answer(message) {
			return
		}
	}
}

func (s *session) send(messages ...pgproto3.BackendMessage) {
	for _, message := range messages {
		s.backend.Send(message)
	}
}

func (s *session) ready() *pgproto3.ReadyForQuery { return &pgproto3.ReadyForQuery{TxStatus: s.status} }

func (s *session) fail(code string) {
	s.send(&pgproto3.ErrorResponse{Severity: "ERROR", Code: code, Message: "no"})
	s.failed = true
	if s.status == 'T' {
		s.status = 'E'
	}
}

func rowsOf(text string) bool { return strings.HasPrefix(strings.ToUpper(text), "SELECT") }

var columns = &pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{
	{Name: []byte("a"), DataTypeOID: 25, DataTypeSize: -1, TypeModifier: -1},
}}

// run makes a statement, and says whether it failed.
func (s *session) run(text string) bool {
	if strings.Contains(text, "/ 0") {
		s.fail("22012")
		return false
	}
	tag := strings.ToUpper(strings.Fields(text)[0])
	switch tag {
	case "BEGIN":
		s.status = 'T'
	case "COMMIT", "ROLLBACK":
		s.status = 'I'
	case "SELECT":
		for i := 0; i < 3 && !strings.Contains(text, "'none'"); i++ {
			s.send(&pgproto3.DataRow{Values: [][]byte{[]byte("x")}})
		}
	}
	s.send(&pgproto3.CommandComplete{CommandTag: []byte(tag + " 3")})
	return true
}

// endCopy ends one that is under way; what still comes of one that has failed is passed over.
func (s *session) endCopy(code string) {
	if !s.copying {
		return
	}
	s.copying = false
	if code != "" {
		s.fail(code)
		s.failed = false
	} else {
		s.send(&pgproto3.CommandComplete{CommandTag: []byte("COPY 3")})
	}
	s.send(s.ready())
}

// answer says whether the connection stays.
func (s *session) answer(message pgproto3.FrontendMessage) bool {
	if _, ok := message.(*pgproto3.Sync); !ok && s.failed {
		return true
	}
	switch message := message.(type) {
	case *pgproto3.Query:
		for _, text := range strings.Split(strings.Trim(message.String, "; "), ";") {
			text = strings.TrimSpace(text)
			if strings.HasPrefix(text, "--") {
				s.send(&pgproto3.EmptyQueryResponse{})
				continue
			}
			if strings.Contains(text, "SELEKT") {
				s.fail("42601")
				break
			}
			if strings.HasPrefix(text, "copy ") {
				s.copying = true
				s.send(&pgproto3.CopyInResponse{OverallFormat: 1, ColumnFormatCodes: []uint16{1}})
				return true
			}
			if rowsOf(text) {
				s.send(columns)
			}
			if !s.run(text) {
				break
			}
		}
		s.failed = false
		s.send(s.ready())
	case *pgproto3.Parse:
		if strings.Contains(message.Query, "SELEKT") {
			s.fail("42601")
			return true
		}
		if strings.Contains(message.Query, "nowhere") {
			s.fail("42P01")
			return true
		}
		s.prepared[message.Name] = message.Query
		s.send(&pgproto3.ParseComplete{})
	case *pgproto3.Describe:
		var parameters pgproto3.ParameterDescription
		for i := 0; i < strings.Count(s.prepared[message.Name], "$"); i++ {
			parameters.ParameterOIDs = append(parameters.ParameterOIDs, 25)
		}
		text := s.portal
		if message.ObjectType == 'S' {
			text = s.prepared[message.Name]
			s.send(&parameters)
		}
		if rowsOf(text) {
			s.send(columns)
		} else {
			s.send(&pgproto3.NoData{})
		}
	case *pgproto3.Bind:
		s.portal = s.prepared[message.PreparedStatement]
		s.send(&pgproto3.BindComplete{})
	case *pgproto3.Execute:
		s.run(s.portal)
	case *pgproto3.CopyData:
		if strings.Contains(string(message.Data), "wr\x00ng") {
			s.endCopy("22021")
		}
	case *pgproto3.CopyFail:
		s.endCopy("57014")
	case *pgproto3.CopyDone:
		s.endCopy("")
	case *pgproto3.Close:
		s.send(&pgproto3.CloseComplete{})
	case *pgproto3.Sync:
		s.failed = false
		s.send(s.ready())
	case *pgproto3.Terminate:
		return false
	}
	return true
}
