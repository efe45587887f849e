-- Creates orders.
local report = require("report")

report.create_only()
done = report.done
