# node: child processes, promises, exit code.
# needs: node
# run:
node -e 'const c = require("child_process"); console.log(c.execSync("echo hi").toString()); process.on("exit", () => console.error("exit")); Promise.resolve(1).then(console.log); process.exitCode = 6'
echo "status $?"
