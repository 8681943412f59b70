import json, sys
for line in sys.stdin:
    job = json.loads(line)
    print("working on", job["id"], file=sys.stderr)
    print(json.dumps({"id": job["id"], "status": "ok", "result": job["payload"]}), flush=True)
