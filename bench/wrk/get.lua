-- Gets single orders in turn.
local report = require("report")

function init(arguments)
  request = report.cycle(report.gets(arguments[1]))
end

done = report.done
