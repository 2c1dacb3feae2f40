# python: subprocess with preexec_fn, and asyncio.
# needs: python3
# run:
python3 -c 'import subprocess, os, asyncio; print(subprocess.run(["sh", "-c", "echo $$ > /dev/null; exit 3"], preexec_fn=os.setsid).returncode)
async def f(): p = await asyncio.create_subprocess_exec("echo", "sub", stdout=-1); print(await p.communicate())
asyncio.run(f()); os._exit(7)'; echo "status $?"
