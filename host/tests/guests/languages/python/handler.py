"""A handler in Python, over the bindings that componentize-py generates from the WIT.

GET /hello responds with a greeting, POST /echo returns the request body, and GET /fetch?url=... fetches from another
server. GET /world?port=... reports which resources the host grants. It calls the WASI interfaces directly, because the
interpreter's own view (`os.environ`) dates from build time. The port is that of a server on the same machine.
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
        loop.run_until_complete(respond(request, response_out))


async def respond(request: IncomingRequest, out: ResponseOutparam) -> None:
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
            granted = json.dumps(granted_resources(int(query["port"][0])))
            await send(out, 200, granted.encode(), "application/json")
        case _:
            await send(out, 404, b"Not found.\n")


async def send(out: ResponseOutparam, status: int, body: bytes, content_type: str = "text/plain") -> None:
    response = OutgoingResponse(Fields.from_list([("content-type", content_type.encode())]))
    response.set_status_code(status)
    sink = Sink(response.body())
    ResponseOutparam.set(out, Ok(response))
    await sink.send(body)
    sink.close()


async def read(message) -> bytes:
    stream, chunks = Stream(message.consume()), []
    while (chunk := await stream.next()) is not None:
        chunks.append(chunk)
    return b"".join(chunks)


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


def granted_resources(port: int) -> dict:
    local_server = IpSocketAddress_Ipv4(Ipv4SocketAddress(port, (127, 0, 0, 1)))
    any_address = IpSocketAddress_Ipv4(Ipv4SocketAddress(0, (0, 0, 0, 0)))
    network = instance_network.instance_network()
    tcp, udp = tcp_create_socket.create_tcp_socket, udp_create_socket.create_udp_socket
    ipv4 = IpAddressFamily.IPV4
    return {
        "variables": environment.get_environment(),
        "arguments": environment.get_arguments(),
        "folder": environment.initial_cwd(),
        "folders": [path for _, path in preopens.get_directories()],
        "input": outcome(lambda: stdin.get_stdin().blocking_read(16)),
        "connection": outcome(lambda: tcp(ipv4).start_connect(network, local_server)),
        "server": outcome(lambda: tcp(ipv4).start_bind(network, any_address)),
        "datagrams": outcome(lambda: udp(ipv4).start_bind(network, any_address)),
        "name": outcome(lambda: ip_name_lookup.resolve_addresses(network, "localhost")),
    }


def outcome(attempt) -> str:
    """Returns the name of the error that the attempt raises, or `allowed: ...` if it succeeds."""
    try:
        return f"allowed: {attempt()}"
    except Err as error:
        return getattr(error.value, "name", type(error.value).__name__)
