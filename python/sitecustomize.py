"""Tells the ogrt-server of this machine which packages a Python has imported, when it ends.

For a site's own Pythons, where no ogrt-observe runs. Copy this file into the folder of the standard
library. If a sitecustomize.py is there already, name that one sitecustomize_before_ogrt.py first:

    folder=$(python3 -c 'import os; print(os.path.dirname(os.__file__))')
    [ ! -e $folder/sitecustomize.py ] || mv $folder/sitecustomize.py $folder/sitecustomize_before_ogrt.py
    cp PREFIX/share/ogrt/python/sitecustomize.py $folder/

Without OGRT_ACTIVE in the environment nothing is done. It imports nothing that Python has not
imported anyway until the end, prints nothing, and no error of it gets out. It takes names and
versions, no values. It works with Python 2.7 and 3.
"""


def _ogrt_begin():
    try:
        import os

        if os.environ.get("OGRT_ACTIVE", "0") in ("", "0"):
            return
        import atexit

        # What is registered first runs last.
        atexit.register(_ogrt_tell, os, os.getpid())
    except Exception:
        pass


def _ogrt_field(out, number, content):
    """Adds a field of bytes, as protobuf has it; its length always takes two bytes."""
    length = len(content)
    out.extend((number << 3 | 2, length & 127 | 128, length >> 7))
    out.extend(content)


def _ogrt_packages(os):
    """Each imported package that is none of Python's own, with its version if it says one."""
    import sys

    library = os.path.dirname(os.__file__) + os.sep
    found = {}
    for name, module in list(sys.modules.items()):
        if "." in name or name.startswith("_") or module is None or len(name) > 128:
            continue
        known = getattr(module, "__dict__", {})
        path = known.get("__file__")
        if not path:
            # A package without a file of its own has several folders.
            folders = list(known.get("__path__") or ())
            path = folders[0] + os.sep if folders else None
        if not isinstance(path, str):
            continue
        installed = "site-packages" in path or "dist-packages" in path
        if path.startswith(library) and not installed or name.startswith("sitecustomize"):
            continue
        version = known.get("__version__")
        found[name] = version if isinstance(version, str) and len(version) <= 64 else None
    return found


def _ogrt_tell(os, pid):
    try:
        # Only over a Unix socket does the server know which process speaks.
        servers = [server for server in os.environ.get("OGRT_SERVER", "").split(",") if server.startswith("unix:")]
        # A child that was forked is no process of its own to the server.
        if not servers or os.getpid() != pid:
            return
        body = bytearray()
        for name, version in _ogrt_packages(os).items():
            package = bytearray(b"\x0a\x06Python")
            _ogrt_field(package, 2, name.encode("utf-8", "replace"))
            if version:
                _ogrt_field(package, 3, version.encode("utf-8", "replace"))
            _ogrt_field(body, 7, package)
            if len(body) > 32000:
                break
        if not body:
            return
        # The module under `socket`, which takes milliseconds to import.
        import _socket

        length = len(body)
        head = bytearray((0, 0, 0, 18, length >> 24 & 255, length >> 16 & 255, length >> 8 & 255, length & 255))
        path = servers[0][5:] + ".dgram"
        sender = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
        try:
            sender.setblocking(False)
            sender.sendto(bytes(head + body), "\0" + path[1:] if path.startswith("@") else path)
        finally:
            sender.close()
    except Exception:
        pass


def _ogrt_go_on():
    """Runs the sitecustomize that would have been found without this one."""
    import os
    import sys

    here = os.path.dirname(os.path.abspath(__file__))
    paths = [os.path.join(here, "sitecustomize_before_ogrt.py")]
    folders = [os.path.abspath(folder) for folder in sys.path if folder]
    if here in folders:
        paths += [os.path.join(folder, "sitecustomize.py") for folder in folders[folders.index(here) + 1 :]]
    for path in paths:
        if os.path.isfile(path):
            scope = {"__name__": "sitecustomize", "__file__": path, "__builtins__": __builtins__}
            with open(path, "rb") as file:
                exec(compile(file.read(), path, "exec"), scope)
            for name, value in scope.items():
                if not name.startswith("__"):
                    globals()[name] = value
            return


_ogrt_begin()
_ogrt_go_on()
