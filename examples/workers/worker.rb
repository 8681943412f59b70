require "json"
$stdin.each_line do |line|
  job = JSON.parse(line)
  warn "working on #{job["id"]}"
  $stdout.syswrite(JSON.generate(id: job["id"], status: "ok", result: job["payload"]) + "\n")
end
