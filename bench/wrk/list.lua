-- Lists the newest 20 orders.
local report = require("report")

wrk.path = report.path .. "?limit=20"
done = report.done
