# node: worker threads and a child that fails.
# needs: node
# run:
node -e 'const w = require("worker_threads"); const c = require("child_process"); const t = new w.Worker("require(\"worker_threads\").parentPort.postMessage(42)", { eval: true }); t.on("message", m => { console.log(m); console.log(c.spawnSync("sh", ["-c", "exit 3"]).status); }); t.on("exit", () => process.exit(9));'; echo "status $?"
