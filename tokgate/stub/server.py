"""Runs a stub server in this process until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import socket
import sys

import uvloop

from tokgate.errors import InputError
from tokgate.listening import BACKLOG, listening, url_of
from tokgate.machine.cpus import usable_cpus
from tokgate.stub.protocol import Connection
from tokgate.stub.settings import Settings
from tokgate.stub.site import Site


def serve(settings: Settings, host: str, port: int, cpu: int | None = None, until_stdin_closes: bool = False) -> None:
    """Serves until SIGINT or SIGTERM. Its URL is the first line of standard output. Raises InputError, OSError.

    `port` 0 takes a free one; `cpu` pins the process to that one.
    """
    if cpu is not None:
        pin(cpu)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with listening(host, port) as listener:
        uvloop.run(_serve(settings, listener, until_stdin_closes))


def pin(cpu: int) -> None:
    """Keeps this process on one CPU. Raises InputError where it may not use it."""
    usable = usable_cpus()
    if cpu not in usable:
        raise InputError(f"CPU {cpu} is not among those this process may use: {', '.join(map(str, sorted(usable)))}")
    os.sched_setaffinity(0, {cpu})


async def start(settings: Settings, listener: socket.socket) -> asyncio.Server:
    """Serves on a listening socket, in the running loop."""
    loop = asyncio.get_running_loop()
    site = Site(settings, loop)
    return await loop.create_server(lambda: Connection(site), sock=listener, backlog=BACKLOG)


async def _serve(settings: Settings, listener: socket.socket, until_stdin_closes: bool) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if until_stdin_closes:
        loop.add_reader(0, lambda: None if os.read(0, 4096) else stop.set())
    server = await start(settings, listener)
    # What is here by now stays; a collection that walks it would stop the writing for milliseconds.
    gc.collect()
    gc.freeze()
    url = url_of(listener)
    print(url, flush=True)
    print(f"stub server on {url.removeprefix('http://')}; the truth is at /truth; Ctrl-C ends it", file=sys.stderr)
    await stop.wait()
    server.close()
