-- Nine gets to one create.
local report = require("report")

function init(arguments)
  local requests = {}
  for index, get in ipairs(report.gets(arguments[1])) do
    requests[#requests + 1] = get
    if index % 9 == 0 then
      requests[#requests + 1] = report.create()
    end
  end
  request = report.cycle(requests)
end

done = report.done
