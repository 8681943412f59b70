require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => {
  const job = JSON.parse(line);
  console.error("working on", job.id);
  console.log(JSON.stringify({ id: job.id, status: "ok", result: job.payload }));
});
