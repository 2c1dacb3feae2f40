"""The three hooks. EasyBuild's manual, "Hooks", tells when it calls each.

    post_prepare_hook   toolchain and dependencies are loaded: our wrappers go in front of PATH
    post_module_hook    everything, or only the module, is installed: look at it, register it
    end_hook            all is done: try once more what the server did not take
"""
import functools
import weakref

from easybuild.base import fancylogger

from ogrt_easybuild import build_environment, installed_ogrt, registration
from ogrt_easybuild.installed_ogrt import NotInstalled

_log = fancylogger.getLogger("ogrt", fname=False)

# Builds whose log already says that nothing is recorded: one line a build, not one a hook.
_told = weakref.WeakSet()


def _never_fails(lost):
    """A hook whose faults end in one line in the log; `lost` says what is then not recorded."""

    def of(hook):
        @functools.wraps(hook)
        def guarded(*args, **kwargs):
            try:
                hook(*args, **kwargs)
            except NotInstalled as problem:
                easyblock = args[0]
                if easyblock not in _told:
                    _told.add(easyblock)
                    _warn(args, "neither its builds nor its installation are recorded", problem)
            except Exception as problem:
                _warn(args, lost, problem)

        return guarded

    return of


@_never_fails("its builds are not recorded")
def post_prepare_hook(easyblock, *args, **kwargs):
    """Puts the wrappers in front of the toolchain's compilers, with the build's metadata."""
    if easyblock.dry_run:
        return
    ogrt = installed_ogrt.find()
    build_environment.enter(easyblock, ogrt)


@_never_fails("its installation is not registered")
def post_module_hook(easyblock, *args, **kwargs):
    """Looks for a note in every installed file, and registers the installation."""
    if easyblock.dry_run:
        return
    build_environment.leave(easyblock)
    ogrt = installed_ogrt.find()
    registration.register(easyblock, ogrt)


@_never_fails("what the server did not take is not registered")
def end_hook(*args, **kwargs):
    """Registers what the server did not take before, and sums up."""
    registration.finish(_log)


def _warn(args, lost, problem):
    log, name = _log_of(args)
    log.warning("OGRT: %s%s: %s", name, lost, _in_one_line(problem))


def _log_of(args):
    """The log of the build that the hook was called for, else our own; and how the line begins."""
    easyblock = args[0] if args else None
    log = getattr(easyblock, "log", None)
    if log is None:
        return _log, ""
    return log, "%s %s: " % (getattr(easyblock, "name", "?"), getattr(easyblock, "version", "?"))


def _in_one_line(problem):
    return " ".join(str(problem).split()) or type(problem).__name__
