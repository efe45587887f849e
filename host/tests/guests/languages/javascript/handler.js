// A handler in JavaScript: an ordinary `fetch` event listener, as the StarlingMonkey engine supports it.
//
// GET /hello responds with a greeting, POST /echo returns the request body, GET /fetch?url=… fetches from another server.

addEventListener("fetch", (event) => event.respondWith(respond(event.request)));

const text = (status, body) => new Response(body, { status, headers: { "content-type": "text/plain" } });

async function respond(request) {
  const { pathname, searchParams } = new URL(request.url);
  switch (`${request.method} ${pathname}`) {
    case "GET /hello":
      return text(200, "Hello from JavaScript.\n");
    case "POST /echo":
      return new Response(await request.arrayBuffer());
    case "GET /fetch":
      try {
        const response = await fetch(searchParams.get("url"));
        return text(response.status, await response.text());
      } catch (error) {
        return text(502, `${error}\n`);
      }
    default:
      return text(404, "Not found.\n");
  }
}
