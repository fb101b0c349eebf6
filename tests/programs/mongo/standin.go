package main

import (
	"encoding/binary"
	"io"
	"net"
	"strings"
)

// Of MongoDB's wire protocol.
const (
	opReply = 1
	opQuery = 2004
	opMsg   = 2013
)

// A command in the collection "slow" is there, and its answer is waited for no more.
var arrived, givenUp = make(chan struct{}), make(chan struct{})

// standIn listens where the driver finds a server that speaks MongoDB's protocol, and returns its address. It is no database:
// what it answers depends on the command and on the collection's name alone.
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

func serve(conn net.Conn) {
	defer conn.Close()
	for {
		var header [16]byte
		if _, err := io.ReadFull(conn, header[:]); err != nil {
			return
		}
		body := make([]byte, binary.LittleEndian.Uint32(header[:])-16)
		if _, err := io.ReadFull(conn, body); err != nil {
			return
		}
		request, op := binary.LittleEndian.Uint32(header[4:]), binary.LittleEndian.Uint32(header[12:])
		var command []byte
		var prefix [20]byte
		switch op {
		case opQuery:
			// Flags, the collection's name, what to skip and how many to return.
			end := 4 + strings.IndexByte(string(body[4:]), 0) + 1
			command = body[end+8:]
			// Of an answer: flags, cursor, where it starts, one document.
			prefix[16] = 1
		case opMsg:
			// Flags, and the kind of the first section, which is the command.
			command = body[5:]
		default:
			return
		}
		answer, ok := answerTo(command)
		if !ok {
			return
		}
		head, reply := prefix[:20], uint32(opReply)
		if op == opMsg {
			head, reply = prefix[:5], opMsg
		}
		out := make([]byte, 16, 16+len(head)+len(answer))
		binary.LittleEndian.PutUint32(out[0:], uint32(16+len(head)+len(answer)))
		binary.LittleEndian.PutUint32(out[8:], request)
		binary.LittleEndian.PutUint32(out[12:], reply)
		if _, err := conn.Write(append(append(out, head...), answer...)); err != nil {
			return
		}
	}
}

func get(d doc, key string) any {
	for _, element := range d {
		if element.Key == key {
			return element.Value
		}
	}
	return nil
}

// answerTo a command; nothing if the connection is to be closed instead.
func answerTo(raw []byte) ([]byte, bool) {
	size := binary.LittleEndian.Uint32(raw)
	var command doc
	if err := unmarshal(raw[:size], &command); err != nil || len(command) == 0 {
		return nil, false
	}
	name, collection := command[0].Key, ""
	if text, ok := command[0].Value.(string); ok {
		collection = text
	}
	answer := doc{{Key: "n", Value: int32(1)}}
	cursor := func(id int64, batch string) {
		rows := list{doc{{Key: "_id", Value: int32(1)}, {Key: "n", Value: int32(2)}}}
		answer = doc{{Key: "cursor", Value: doc{
			{Key: "id", Value: id}, {Key: "ns", Value: "shop." + collection}, {Key: batch, Value: rows},
		}}}
	}
	failed := func(list_ string, value any) { answer = doc{{Key: "n", Value: int32(0)}, {Key: list_, Value: value}} }
	switch strings.ToLower(name) {
	case "ismaster", "hello":
		answer = doc{
			{Key: "ismaster", Value: true}, {Key: "isWritablePrimary", Value: true}, {Key: "helloOk", Value: true},
			{Key: "maxBsonObjectSize", Value: int32(16 << 20)}, {Key: "maxMessageSizeBytes", Value: int32(48000000)},
			{Key: "maxWriteBatchSize", Value: int32(100000)}, {Key: "logicalSessionTimeoutMinutes", Value: int32(30)},
			{Key: "minWireVersion", Value: int32(0)}, {Key: "maxWireVersion", Value: int32(21)},
		}
	case "find", "aggregate":
		id := int64(0)
		if collection == "many" {
			id = 77
		}
		cursor(id, "firstBatch")
	case "getmore":
		cursor(0, "nextBatch")
	case "findandmodify":
		answer = doc{{Key: "value", Value: doc{{Key: "_id", Value: int32(1)}}}}
	case "update":
		answer = append(answer, doc{{Key: "nModified", Value: int32(1)}}...)
	}
	switch collection {
	case "duplicates":
		failed("writeErrors", list{doc{
			{Key: "index", Value: int32(0)}, {Key: "code", Value: int32(11000)}, {Key: "errmsg", Value: "E11000 duplicate key " + secret},
		}})
	case "concerns":
		failed("writeConcernError", doc{{Key: "code", Value: int32(64)}, {Key: "errmsg", Value: "too slow"}})
	case "forbidden":
		return mustMarshal(doc{
			{Key: "ok", Value: float64(0)}, {Key: "code", Value: int32(13)}, {Key: "codeName", Value: "Unauthorized"},
			{Key: "errmsg", Value: "not authorized for " + secret},
		}), true
	case "flaky":
		if !closedOnce(command) {
			return nil, false
		}
	case "slow":
		arrived <- struct{}{}
		<-givenUp
	}
	return mustMarshal(append(answer, doc{{Key: "ok", Value: float64(1)}}...)), true
}

func mustMarshal(d doc) []byte {
	raw, err := marshal(d)
	if err != nil {
		panic(err)
	}
	return raw
}
