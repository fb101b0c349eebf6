import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanContext;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.api.trace.propagation.W3CTraceContextPropagator;
import io.opentelemetry.context.Context;
import io.opentelemetry.context.Scope;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.samplers.Sampler;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * What client.py does, with the OpenTelemetry SDK for Java: THREADS JOBS RATIO URL... All threads share one client, and
 * with it its connections.
 */
public final class Client {
  private final Tracer tracer;
  private final HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
  private final List<String> urls;

  private Client(double ratio, List<String> urls) {
    SdkTracerProvider provider =
        SdkTracerProvider.builder().setSampler(Sampler.parentBased(Sampler.traceIdRatioBased(ratio))).build();
    this.tracer = provider.get("crosslang");
    this.urls = urls;
  }

  private void request(String name, String url) throws Exception {
    Span span = tracer.spanBuilder("GET").setSpanKind(SpanKind.CLIENT).startSpan();
    try (Scope scope = span.makeCurrent()) {
      HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(url.replace("{id}", name)));
      W3CTraceContextPropagator.getInstance().inject(Context.current(), request, HttpRequest.Builder::setHeader);
      int status = client.send(request.build(), HttpResponse.BodyHandlers.ofString()).statusCode();
      SpanContext ids = span.getSpanContext();
      System.out.printf(
          "{\"id\": \"%s\", \"trace_id\": \"%s\", \"span_id\": \"%s\", \"sampled\": %s, \"status\": %d}%n",
          name, ids.getTraceId(), ids.getSpanId(), ids.isSampled(), status);
    } finally {
      span.end();
    }
  }

  private Void work(int thread, int jobs) throws Exception {
    for (int job = 0; job < jobs; job++) {
      Span span = tracer.spanBuilder("job").startSpan();
      try (Scope scope = span.makeCurrent()) {
        for (int number = 0; number < urls.size(); number++)
          request("java-" + thread + "-" + job + "-" + number, urls.get(number));
      } finally {
        span.end();
      }
    }
    return null;
  }

  public static void main(String[] arguments) throws Exception {
    int threads = Integer.parseInt(arguments[0]);
    int jobs = Integer.parseInt(arguments[1]);
    List<String> urls = Arrays.asList(arguments).subList(3, arguments.length);
    Client client = new Client(Double.parseDouble(arguments[2]), urls);
    ExecutorService pool = Executors.newFixedThreadPool(threads);
    List<Callable<Void>> tasks = new ArrayList<>();
    for (int i = 0; i < threads; i++) {
      int thread = i;
      tasks.add(() -> client.work(thread, jobs));
    }
    for (Future<Void> task : pool.invokeAll(tasks)) task.get();
    pool.shutdown();
  }
}
