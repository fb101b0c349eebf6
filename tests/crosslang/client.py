"""Does jobs that are traced by the OpenTelemetry SDK for Python, as its instrumentation of `requests` does it: each job is a
span, and each request a client span below it, whose ids go out in the headers of the SDK's own propagators.

Prints one JSON object a request: which one it was, the ids of its span, whether it is sampled, and the status that came
back. Each thread has connections of its own, which it keeps.
"""

import argparse
import json
import threading

import requests
from opentelemetry import trace
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

current = threading.local()
printing = threading.Lock()


def keep(span, _request):
    current.context = span.get_span_context()


def work(options, thread):
    tracer = trace.get_tracer("crosslang")
    session = requests.Session()
    session.trust_env = False  # no proxy
    for job in range(options.jobs):
        with tracer.start_as_current_span("job"):
            for number, url in enumerate(options.urls):
                name = f"python-{thread}-{job}-{number}"
                status = session.get(url.replace("{id}", name), timeout=60).status_code
                context = current.context
                line = json.dumps({
                    "id": name,
                    "trace_id": trace.format_trace_id(context.trace_id),
                    "span_id": trace.format_span_id(context.span_id),
                    "sampled": context.trace_flags.sampled,
                    "status": status,
                })
                with printing:
                    print(line, flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--jobs", type=int, required=True, help="of each thread")
    parser.add_argument("--ratio", type=float, required=True, help="the share of traces that are sampled")
    parser.add_argument("urls", nargs="+", metavar="URL", help="requests of a job; {id} becomes each one's own name")
    options = parser.parse_args()
    trace.set_tracer_provider(TracerProvider(sampler=ParentBased(TraceIdRatioBased(options.ratio))))
    RequestsInstrumentor().instrument(request_hook=keep)
    threads = [threading.Thread(target=work, args=(options, thread)) for thread in range(options.threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


main()
