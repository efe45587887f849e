-- Shared by all workloads: the orders, and the line of figures at the end that `cargo xtask bench` parses.
-- Times are in microseconds.

local M = {}

M.order = '{"customer":"ada","currency":"EUR","items":[{"sku":"tea-1","quantity":2,"unit_price":450},'
  .. '{"sku":"pot-7","quantity":1,"unit_price":2900},{"sku":"cup-2","quantity":6,"unit_price":800}]}'
M.path = "/api/v1/orders"

-- Makes every request a create. wrk then builds the request once, and runs no Lua to send it.
function M.create_only()
  wrk.method, wrk.path, wrk.body = "POST", M.path, M.order
  wrk.headers["Content-Type"] = "application/json"
end

-- A request that creates an order.
function M.create()
  return wrk.format("POST", M.path, { ["Content-Type"] = "application/json" }, M.order)
end

-- Requests that get the orders whose ids are in a file, one per line.
function M.gets(file)
  local requests = {}
  for id in io.lines(file) do
    requests[#requests + 1] = wrk.format("GET", M.path .. "/" .. id)
  end
  return requests
end

-- Sends the requests in turn, repeatedly.
function M.cycle(requests)
  local next, count = 0, #requests
  return function()
    next = next % count + 1
    return requests[next]
  end
end

function M.done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format("figures requests=%d duration=%d p50=%d p99=%d max=%d status=%d connect=%d read=%d write=%d "
    .. "timeout=%d\n",
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
    errors.status, errors.connect, errors.read, errors.write, errors.timeout))
end

return M
