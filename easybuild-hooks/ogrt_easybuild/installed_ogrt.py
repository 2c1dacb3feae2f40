"""Where OGRT is installed: OGRT_PREFIX, else the prefix of these hooks, else along PATH."""
import os
import shutil


class NotInstalled(Exception):
    """No OGRT that can be used was found."""


class InstalledOgrt:
    """The programs of one prefix."""

    def __init__(self, prefix):
        self.compiler_wrapper = _program(prefix, "bin/ogrt-cc")
        self.linker_wrapper = _program(prefix, "libexec/ogrt/ld")
        self.ogrt = _program(prefix, "bin/ogrt")


def find():
    """The first OGRT found. If OGRT_PREFIX names one, no other is taken."""
    named = os.environ.get("OGRT_PREFIX")
    if named:
        return InstalledOgrt(named)
    # PREFIX/share/ogrt/easybuild/ogrt_easybuild/installed_ogrt.py
    above = os.path.realpath(__file__)
    for _ in range(5):
        above = os.path.dirname(above)
    if os.path.exists(os.path.join(above, "bin/ogrt-cc")):
        return InstalledOgrt(above)
    on_path = shutil.which("ogrt-cc")
    if on_path:
        return InstalledOgrt(os.path.dirname(os.path.dirname(os.path.realpath(on_path))))
    raise NotInstalled("ogrt-cc is found nowhere; OGRT_PREFIX can say where OGRT is installed")


def _program(prefix, name):
    path = os.path.join(prefix, name)
    if not os.access(path, os.X_OK):
        raise NotInstalled("%s is not there, or cannot be run" % path)
    return path
