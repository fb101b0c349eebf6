// Command rpc serves an echo over gRPC, or is an HTTP server (-edge) whose handlers call one. Both count what they did, and
// say so as JSON when they are told to end. With -load it calls one as fast as it can.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// counts are calls by method and code.
type counts struct {
	mu sync.Mutex
	by map[string]int
}

func (c *counts) add(method string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.by[method+" "+status.Code(err).String()]++
}

var done = counts{by: map[string]int{}}

func say(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (reply any, err error) {
	defer func() { done.add("echo.Echo/Say", err) }()
	in := new(wrapperspb.StringValue)
	if err := decode(in); err != nil {
		return nil, err
	}
	switch in.Value {
	case "missing":
		return nil, status.Error(codes.NotFound, "no such thing")
	case "broken":
		return nil, errors.New("broken")
	case "slow":
		time.Sleep(20 * time.Millisecond)
	case "exit":
		go afterwards()
		runtime.Goexit()
	}
	return in, nil
}

// afterwards makes calls that belong to nobody, from goroutines of which one or the other takes the place of one that has
// ended.
func afterwards() {
	time.Sleep(10 * time.Millisecond)
	for i := 0; i < 32; i++ {
		go func() {
			if reply, err := http.Get("http://" + other() + "/afterwards"); err == nil {
				reply.Body.Close()
			}
		}()
	}
}

// other is the address of another server in this program.
var other = sync.OnceValue(func() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Fatal(http.Serve(listener, http.NotFoundHandler())) }()
	return listener.Addr().String()
})

func chat(_ any, stream grpc.ServerStream) (err error) {
	defer func() { done.add("echo.Echo/Chat", err) }()
	for {
		in := new(wrapperspb.StringValue)
		if err := stream.RecvMsg(in); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := stream.SendMsg(in); err != nil {
			return err
		}
	}
}

var service = grpc.ServiceDesc{
	ServiceName: "echo.Echo",
	HandlerType: (*any)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "Say", Handler: say}},
	Streams:     []grpc.StreamDesc{{StreamName: "Chat", Handler: chat, ServerStreams: true, ClientStreams: true}},
}

func serve(listener net.Listener) {
	server := grpc.NewServer()
	server.RegisterService(&service, struct{}{})
	log.Fatal(server.Serve(listener))
}

// thoughtUp are methods that the echo does not have.
var thoughtUp atomic.Int64

// edge calls the echo: /say/WORD unary, /unknown a method that it has not, each time another, /chat/N streaming with so many
// messages, /traced/PARENT with a traceparent; /exit where the handler's goroutine ends without an answer.
type edge struct{ connection *grpc.ClientConn }

func (e edge) say(ctx context.Context, word string) error {
	err := e.connection.Invoke(ctx, "/echo.Echo/Say", wrapperspb.String(word), new(wrapperspb.StringValue))
	done.add("echo.Echo/Say", err)
	return err
}

func (e edge) chat(ctx context.Context) (err error) {
	defer func() { done.add("echo.Echo/Chat", err) }()
	stream, err := e.connection.NewStream(ctx, &service.Streams[0], "/echo.Echo/Chat")
	if err != nil {
		return err
	}
	reply := new(wrapperspb.StringValue)
	for i := 0; i < 3; i++ {
		if err := stream.SendMsg(wrapperspb.String("word")); err != nil {
			return err
		}
		if err := stream.RecvMsg(reply); err != nil {
			return err
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	if err := stream.RecvMsg(reply); err != io.EOF {
		return err
	}
	return nil
}

func (e edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	what, word, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	var err error
	switch what {
	case "say":
		err = e.say(r.Context(), word)
	case "chat":
		err = e.chat(r.Context())
	case "deadline":
		ctx, cancel := context.WithTimeout(r.Context(), 5*time.Millisecond)
		defer cancel()
		err = e.say(ctx, "slow")
	case "exit":
		ctx, cancel := context.WithTimeout(r.Context(), 100*time.Millisecond)
		defer cancel()
		err = e.say(ctx, "exit")
	case "unknown":
		method := fmt.Sprintf("/thought.Up%d/Method", thoughtUp.Add(1))
		err = e.connection.Invoke(r.Context(), method, wrapperspb.String("word"), new(wrapperspb.StringValue))
	case "traced":
		err = e.say(metadata.AppendToOutgoingContext(r.Context(), "traceparent", word), "word")
	}
	fmt.Fprintln(w, status.Code(err))
}

// load calls the echo from so many goroutines until the time is over, and prints how often.
// load calls from so many goroutines, at rate calls a second altogether, or as fast as it can (0). Who is late does not wait.
func load(target string, callers int, rate float64, duration time.Duration) {
	connection, err := grpc.Dial(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	var sent atomic.Int64
	var all sync.WaitGroup
	begun := time.Now()
	for i := 0; i < callers; i++ {
		all.Add(1)
		go func(i int) {
			defer all.Done()
			word, reply := wrapperspb.String("word"), new(wrapperspb.StringValue)
			for call := 0; time.Since(begun) < duration; call++ {
				if rate > 0 {
					due := (float64(call) + float64(i)/float64(callers)) * float64(callers) / rate
					time.Sleep(time.Until(begun.Add(time.Duration(due * float64(time.Second)))))
				}
				if err := connection.Invoke(context.Background(), "/echo.Echo/Say", word, reply); err != nil {
					log.Fatal(err)
				}
				sent.Add(1)
			}
		}(i)
	}
	all.Wait()
	fmt.Printf("{\"sent\": %d, \"rate\": %f}\n", sent.Load(), float64(sent.Load())/time.Since(begun).Seconds())
}

func main() {
	to := flag.String("load", "", "call the echo at this address from -callers goroutines for -d, and print how often")
	callers := flag.Int("callers", 64, "goroutines of -load")
	rate := flag.Float64("rate", 0, "calls a second of -load over all callers; 0: as fast as answers come")
	duration := flag.Duration("d", 4*time.Second, "time of -load")
	listen := flag.String("listen", "127.0.0.1:0", "address")
	target := flag.String("edge", "", "serve HTTP and call the echo at this address")
	flag.Parse()
	if *to != "" {
		load(*to, *callers, *rate, *duration)
		return
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening", listener.Addr())
	if *target == "" {
		go serve(listener)
	} else {
		connection, err := grpc.Dial(*target, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			log.Fatal(err)
		}
		go func() { log.Fatal(http.Serve(listener, edge{connection})) }()
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	<-ended
	done.mu.Lock()
	truth, _ := json.Marshal(done.by)
	fmt.Printf("truth %s\n", truth)
}
