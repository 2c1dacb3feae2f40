"""Installations as Spack leaves them: a prefix, and in it `.spack/spec.json` that tells what it is.

Nothing here needs Spack. So a store can be read where Spack does not run (a binary cache that was
unpacked, another site's store), and the code can be tested. A file that is not a spec.json is passed
over with a line that says so.
"""
import json
import os
import shutil
import subprocess

METADATA_FOLDER = ".spack"
SPEC_FILE = "spec.json"

# Enough for a slow file system and a slow server.
PATIENCE_S = 300


class NotASpec(Exception):
    """The file is not what Spack writes."""


def prefixes_below(folder):
    """Every prefix at or below `folder`, sorted. Nothing below a prefix is looked at."""
    found = []
    for place, folders, _ in os.walk(folder):
        if os.path.isfile(os.path.join(place, METADATA_FOLDER, SPEC_FILE)):
            found.append(place)
            folders.clear()
        else:
            folders.sort()
    return found


def identity(prefix):
    """OGRT_META_* of the installation in `prefix`; raises NotASpec without a usable spec.json."""
    path = os.path.join(prefix, METADATA_FOLDER, SPEC_FILE)
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except (OSError, ValueError) as problem:
        raise NotASpec("%s: %s" % (path, problem)) from None
    node = _root(document)
    if not isinstance(node, dict) or not isinstance(node.get("name"), str):
        raise NotASpec("%s: no spec in it" % path)
    told = {
        "OGRT_META_PACKAGER": "spack",
        "OGRT_META_NAME": node["name"],
        "OGRT_META_VERSION": node.get("version"),
        "OGRT_META_PACKAGE_ID": node.get("hash") or node.get("full_hash"),
        "OGRT_META_TOOLCHAIN": _compiler(node, document),
    }
    return {name: value for name, value in told.items() if isinstance(value, str) and value}


def is_external(prefix):
    """True if the prefix is registered in Spack, but not built by it."""
    try:
        with open(os.path.join(prefix, METADATA_FOLDER, SPEC_FILE), encoding="utf-8") as file:
            node = _root(json.load(file))
    except (OSError, ValueError):
        return False
    return isinstance(node, dict) and bool(node.get("external"))


def register_all(prefixes, dry_run=False, say=print):
    """Registers each prefix by `ogrt register`. Returns how many it could not register."""
    problems = 0
    program = shutil.which("ogrt") or os.path.join(os.environ.get("OGRT_PREFIX", "/opt/ogrt"), "bin/ogrt")
    for prefix in prefixes:
        if is_external(prefix):
            continue
        try:
            said, ended = _register(program, prefix, identity(prefix), dry_run)
        except (NotASpec, OSError, subprocess.SubprocessError) as problem:
            said, ended = str(problem), 2
        for line in said.splitlines():
            say(line)
        # 1 says that a file has no note, which is an answer.
        problems += ended not in (0, 1)
    return problems


def _register(program, prefix, told, dry_run):
    command = [program, "register", "--prefix", prefix] + (["--dry-run"] if dry_run else [])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OGRT_META_")}
    for name in ("LD_PRELOAD", "LD_AUDIT"):
        environment.pop(name, None)
    done = subprocess.run(
        command,
        env={**environment, **told},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE_S,
        check=False,
    )
    return done.stdout.decode("utf-8", "replace"), done.returncode


def _root(document):
    """The spec itself, the first of `nodes`; before format 2, of a list of one-key objects."""
    spec = document.get("spec") if isinstance(document, dict) else None
    if isinstance(spec, dict):
        nodes = spec.get("nodes")
        return nodes[0] if isinstance(nodes, list) and nodes else None
    if isinstance(spec, list) and spec and isinstance(spec[0], dict) and len(spec[0]) == 1:
        ((name, node),) = spec[0].items()
        return {"name": name, **node} if isinstance(node, dict) else None
    return None


def _compiler(node, document):
    """As `gcc@12.2.0`: up to format 4 a key of the node, later the dependency for a language."""
    compiler = node.get("compiler")
    if isinstance(compiler, dict):
        return _joined(compiler)
    nodes = document["spec"].get("nodes", []) if isinstance(document["spec"], dict) else []
    dependencies = node.get("dependencies")
    for dependency in dependencies if isinstance(dependencies, list) else []:
        parameters = dependency.get("parameters", {}) if isinstance(dependency, dict) else {}
        if {"c", "cxx", "fortran"} & set(parameters.get("virtuals", ())):
            for other in nodes:
                if isinstance(other, dict) and other.get("hash") == dependency.get("hash"):
                    return _joined(other)
            return dependency.get("name")
    return None


def _joined(named):
    parts = [named.get("name"), named.get("version")]
    return "@".join(part for part in parts if isinstance(part, str))
