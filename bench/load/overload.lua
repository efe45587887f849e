-- Creates orders, and counts how many were taken on and how many refused (503). The times are those of all answers
-- together, so the 99th percentile of the accepted ones is given as an upper bound: of N answers a share f is
-- accepted, and no more than N * f / 100 took longer than the percentile 100 - f of all.
local report = require("report")

created, refused, others = 0, 0, 0
local threads = {}

function setup(thread)
  threads[#threads + 1] = thread
end

report.create_only()

function response(status)
  if status == 201 then
    created = created + 1
  elseif status == 503 then
    refused = refused + 1
  else
    others = others + 1
  end
end

function done(summary, latency, requests)
  local sum = { created = 0, refused = 0, others = 0 }
  for _, thread in ipairs(threads) do
    for name in pairs(sum) do
      sum[name] = sum[name] + thread:get(name)
    end
  end
  local answered = math.max(sum.created + sum.refused + sum.others, 1)
  local bound = latency:percentile(math.min(100 - sum.created / answered, 99.999))
  report.done(summary, latency, requests)
  io.write(string.format("overload created=%d refused=%d others=%d bound=%d\n", sum.created, sum.refused, sum.others,
    bound))
end
