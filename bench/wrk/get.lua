-- Reads single orders, one after another.
local report = require("report")

function init(arguments)
  request = report.cycle(report.gets(arguments[1]))
end

done = report.done
