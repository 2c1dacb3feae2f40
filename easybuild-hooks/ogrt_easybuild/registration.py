"""Registers what was installed, by `ogrt register`, which also names the files without a note.

What the server does not take is tried once more when EasyBuild ends. If the server does not take it
then, one line holds the command by which a person can do it later.
"""
import json
import os
import shlex
import subprocess

from easybuild.tools.build_log import print_warning

from ogrt_easybuild import build_environment

# Enough for a slow file system and a slow server. A build does not wait longer.
PATIENCE_S = 120

# How many files without a note one line of the log names.
NAMED_MAX = 10

_waiting = []


class NotRegistered(Exception):
    """The server did not take the installation."""


def register(easyblock, ogrt):
    """Registers one installation, and logs what is missing."""
    prefix = easyblock.installdir
    if not prefix or not os.path.isdir(prefix):
        easyblock.log.info("OGRT: %s %s: nothing is installed, so nothing is registered", easyblock.name, easyblock.version)
        return
    command = [ogrt.ogrt, "register", "--json", "--prefix", prefix]
    if os.path.isfile(easyblock.mod_filepath):
        command += ["--module-file", easyblock.mod_filepath]
    told = {name: value for name, value in build_environment.metadata(easyblock).items() if value}
    answer = _ask(command, told)
    unmarked = answer["unmarked"]
    if unmarked:
        more = len(unmarked) - NAMED_MAX
        easyblock.log.warning(
            "OGRT: %s %s: %d of %d installed ELF files have no note: %s%s",
            easyblock.name, easyblock.version, len(unmarked), answer["files"],
            ", ".join(unmarked[:NAMED_MAX]), " and %d more" % more if more > 0 else "",
        )
    if answer["registered"]:
        easyblock.log.info("OGRT: %s is registered, with %d ELF files", prefix, answer["files"])
    else:
        _waiting.append((command, told))
        raise NotRegistered(answer["problem"])


def finish(log):
    """Tries again what the server did not take before."""
    waiting, _waiting[:] = list(_waiting), []
    for command, told in waiting:
        try:
            problem = _ask(command, told)["problem"]
        except (NotRegistered, OSError, subprocess.SubprocessError) as error:
            problem = error
        if problem:
            variables = ["%s=%s" % (name, shlex.quote(value)) for name, value in sorted(told.items())]
            words = variables + [shlex.quote(word) for word in command if word != "--json"]
            # EasyBuild removes its own log when all is well. So this line goes to the terminal.
            print_warning("OGRT: not registered (%s); to do it later: %s" % (problem, " ".join(words)), log=log)
        else:
            log.info("OGRT: %s is registered", command[command.index("--prefix") + 1])


def _ask(command, told):
    """Runs `ogrt register --json`. Exit status 0 and 1 are answers; 2 comes with a `problem`."""
    environment = {**os.environ, **told}
    for name in ("LD_PRELOAD", "LD_AUDIT"):
        environment.pop(name, None)
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=PATIENCE_S,
        check=False,
    )
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())
        raise NotRegistered("ogrt register ended with %d: %s" % (done.returncode, said[:500])) from None
    return answer
