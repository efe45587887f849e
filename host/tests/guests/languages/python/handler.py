"""A handler in Python, over the bindings that componentize-py makes of the WIT.

GET /hello answers, POST /echo sends the body back, GET /fetch?url=... asks another server, GET /world?port=... shows
what the host has given, asked of the interfaces themselves: the interpreter's own view (`os.environ`) is from when it
was built. The port is that of a server on this machine.
"""

import asyncio
import json
from urllib.parse import parse_qs, urlsplit

import poll_loop
from componentize_py_types import Err, Ok
from poll_loop import PollLoop, Sink, Stream
from wit_world import exports
from wit_world.imports import (
    environment,
    instance_network,
    ip_name_lookup,
    preopens,
    stdin,
    tcp_create_socket,
    udp_create_socket,
)
from wit_world.imports.network import IpAddressFamily, IpSocketAddress_Ipv4, Ipv4SocketAddress
from wit_world.imports.types import (
    Fields,
    IncomingRequest,
    Method_Get,
    Method_Post,
    OutgoingBody,
    OutgoingRequest,
    OutgoingResponse,
    ResponseOutparam,
    Scheme_Http,
    Scheme_Https,
)


class IncomingHandler(exports.IncomingHandler):
    def handle(self, request: IncomingRequest, response_out: ResponseOutparam) -> None:
        loop = PollLoop()
        asyncio.set_event_loop(loop)
        loop.run_until_complete(answer(request, response_out))


async def answer(request: IncomingRequest, out: ResponseOutparam) -> None:
    url = urlsplit(request.path_with_query() or "/")
    query = parse_qs(url.query)
    match request.method(), url.path:
        case Method_Get(), "/hello":
            await send(out, 200, b"Hello from Python.\n")
        case Method_Post(), "/echo":
            await send(out, 200, await read(request), "application/octet-stream")
        case Method_Get(), "/fetch":
            await send(out, *await fetch(query["url"][0]))
        case Method_Get(), "/world":
            await send(out, 200, json.dumps(world(int(query["port"][0]))).encode(), "application/json")
        case _:
            await send(out, 404, b"There is nothing here.\n")


async def send(out: ResponseOutparam, status: int, body: bytes, kind: str = "text/plain") -> None:
    response = OutgoingResponse(Fields.from_list([("content-type", kind.encode())]))
    response.set_status_code(status)
    sink = Sink(response.body())
    ResponseOutparam.set(out, Ok(response))
    await sink.send(body)
    sink.close()


async def read(message) -> bytes:
    stream, parts = Stream(message.consume()), []
    while (part := await stream.next()) is not None:
        parts.append(part)
    return b"".join(parts)


async def fetch(address: str) -> tuple[int, bytes]:
    url = urlsplit(address)
    request = OutgoingRequest(Fields())
    request.set_scheme(Scheme_Https() if url.scheme == "https" else Scheme_Http())
    request.set_authority(url.netloc)
    request.set_path_with_query(url.path or "/")
    OutgoingBody.finish(request.body(), None)
    try:
        response = await poll_loop.send(request)
        return response.status(), await read(response)
    except Err as error:
        return 502, f"{type(error.value).__name__}\n".encode()


def world(port: int) -> dict:
    here = IpSocketAddress_Ipv4(Ipv4SocketAddress(port, (127, 0, 0, 1)))
    anywhere = IpSocketAddress_Ipv4(Ipv4SocketAddress(0, (0, 0, 0, 0)))
    network = instance_network.instance_network()
    tcp, udp = tcp_create_socket.create_tcp_socket, udp_create_socket.create_udp_socket
    ipv4 = IpAddressFamily.IPV4
    return {
        "variables": environment.get_environment(),
        "arguments": environment.get_arguments(),
        "folder": environment.initial_cwd(),
        "folders": [path for _, path in preopens.get_directories()],
        "input": outcome(lambda: stdin.get_stdin().blocking_read(16)),
        "connection": outcome(lambda: tcp(ipv4).start_connect(network, here)),
        "server": outcome(lambda: tcp(ipv4).start_bind(network, anywhere)),
        "datagrams": outcome(lambda: udp(ipv4).start_bind(network, anywhere)),
        "name": outcome(lambda: ip_name_lookup.resolve_addresses(network, "localhost")),
    }


def outcome(attempt) -> str:
    """The name of the error that an attempt ends with."""
    try:
        return f"allowed: {attempt()}"
    except Err as error:
        return getattr(error.value, "name", type(error.value).__name__)
