// A handler in JavaScript, as its engine (StarlingMonkey) lets people write one: an ordinary `fetch` event.
//
// GET /hello answers, POST /echo sends the body back, GET /fetch?url=… asks another server.

addEventListener("fetch", (event) => event.respondWith(answer(event.request)));

const text = (status, body) => new Response(body, { status, headers: { "content-type": "text/plain" } });

async function answer(request) {
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
      return text(404, "There is nothing here.\n");
  }
}
