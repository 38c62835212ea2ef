"""Entry point: how the HTTP service bears many clients at once.

    python -m benchmarks.service [--clients 16] [--seconds 60] [--backend mfcc] [--out FILE]

Starts ``python -m inference.app`` in a process of its own, lets every client post clips one after the
other over the loopback interface, and prints requests a second, latency, failures and memory.
Exit code: 0, 1 if a request failed, 2 after a mistake of usage.
"""

import argparse
import contextlib
import http.client
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.measure.environment import describe_environment
from benchmarks.run.records import write_document
from inference.command_line import (
    EXIT_OK,
    add_backend_arguments,
    path_argument,
    positive_int,
    reports_user_errors,
)
from inference.errors import UserError

EXIT_REQUESTS_FAILED = 1
START_SECONDS = 120
#: Memory is looked at this often; the first look comes when caches and threads have filled.
MEMORY_EVERY_S = 1.0


@dataclass
class Load:
    """What the clients saw; filled by several threads, each call atomic.

    Attributes:
        latencies_ms: One per answered request, from the first byte sent to the last received.
        failures: Status or exception -> how often.
        rss_bytes: Resident memory of the server, once a second.
    """

    latencies_ms: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    rss_bytes: list[int] = field(default_factory=list)


def build_parser() -> argparse.ArgumentParser:
    """The command line of this entry point."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.service",
        description="Measures the HTTP service under many clients at once.",
        epilog="Exit codes: 0 no request failed, 1 some did, 2 usage.",
    )
    add_backend_arguments(parser)
    parser.add_argument("--clients", type=positive_int, default=16, help="at a time (default: 16)")
    parser.add_argument("--seconds", type=positive_int, default=60, help="of load (default: 60)")
    parser.add_argument("--out", type=path_argument, metavar="FILE", help="also write the figures as JSON")
    return parser


@reports_user_errors
def main(argv: list[str] | None = None) -> int:
    """Runs the command line; see the module for the exit codes."""
    from inference.app.page import EXAMPLES

    options = build_parser().parse_args(argv)
    clips = [path.read_bytes() for path in sorted(EXAMPLES.glob("*.flac"))]
    backend = ["--backend", options.backend, "--threads", str(options.threads)]
    checkpoint = ["--checkpoint", options.checkpoint] if options.checkpoint else []
    with running_service(*backend, *checkpoint) as (process, port):
        load = put_under_load(process, port, clips, options.clients, options.seconds)
    figures = summarise(load, options.seconds)
    for name, value in figures.items():
        print(f"{name:22} {value}")
    if options.out:
        asked = {"backend": options.backend, "clients": options.clients, "seconds": options.seconds}
        document = {**asked, **figures, "environment": describe_environment(options.threads)}
        write_document(options.out, document)
        sys.stderr.write(f"wrote {options.out}\n")
    return EXIT_REQUESTS_FAILED if load.failures else EXIT_OK


@contextlib.contextmanager
def running_service(*options: str) -> Iterator[tuple[subprocess.Popen, int]]:
    """Starts the service on a free port; yields its process and the port.

    Raises:
        UserError: If it does not start, with what it said.
    """
    command = [sys.executable, "-m", "inference.app", "--port", "0", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        timer = threading.Timer(START_SECONDS, process.kill)
        timer.start()
        said: list[str] = []
        port = None
        while port is None and (line := process.stderr.readline()):
            said.append(line)
            found = re.search(r"http://[^ ]*:(\d+)/", line)
            port = int(found.group(1)) if found else None
        timer.cancel()
        if port is None:
            raise UserError("the service did not start: " + "".join(said).strip())
        # Whatever it says later must not fill the pipe and stop it.
        threading.Thread(target=process.stderr.read, daemon=True).start()
        try:
            yield process, port
        finally:
            process.terminate()


def put_under_load(
    process: subprocess.Popen, port: int, clips: list[bytes], num_clients: int, seconds: float
) -> Load:
    """Lets clients post clips, each the next as soon as the last is answered.

    Args:
        process: The service.
        port: Where it listens, on the loopback interface.
        clips: Encoded audio, taken in turn.
        num_clients: How many at a time; each keeps one connection.
        seconds: For how long.
    """
    load = Load()
    end = time.monotonic() + seconds

    def post_until_the_end(first: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        turn = first
        while time.monotonic() < end:
            started = time.perf_counter()
            try:
                connection.request("POST", "/predict", clips[turn % len(clips)])
                response = connection.getresponse()
                response.read()
                if response.status == http.client.OK:
                    load.latencies_ms.append(1e3 * (time.perf_counter() - started))
                else:
                    load.failures.append(str(response.status))
            except (OSError, http.client.HTTPException) as error:
                load.failures.append(type(error).__name__)
                connection.close()  # the next request opens it again
            turn += 1
        connection.close()

    clients = [threading.Thread(target=post_until_the_end, args=(first,)) for first in range(num_clients)]
    for client in clients:
        client.start()
    while any(client.is_alive() for client in clients):
        load.rss_bytes.append(resident_bytes(process.pid))
        time.sleep(MEMORY_EVERY_S)
    return load


def resident_bytes(pid: int) -> int:
    """Resident memory of a process (``VmRSS``, proc(5)), 0 where the system has no such file."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(found.group(1)) * 1024 if found else 0


def summarise(load: Load, seconds: float) -> dict[str, float | int | str | None]:
    """The figures of a load, by name with the unit."""
    import numpy as np

    answered = len(load.latencies_ms)
    quantiles = np.percentile(load.latencies_ms, [50, 95, 99]).round(1).tolist() if answered else [None] * 3
    settled = load.rss_bytes[len(load.rss_bytes) // 4 :]
    return {
        "requests": answered + len(load.failures),
        "requests_per_s": round(answered / seconds, 1),
        "failed": len(load.failures),
        "failures": ", ".join(f"{count} x {name}" for name, count in Counter(load.failures).items()) or None,
        **dict(zip(("p50_ms", "p95_ms", "p99_ms"), quantiles, strict=True)),
        "peak_rss_mb": round(max(load.rss_bytes, default=0) / 1e6, 1),
        "rss_growth_mb": round((max(settled) - settled[0]) / 1e6, 1) if settled else None,
    }


if __name__ == "__main__":
    sys.exit(main())
