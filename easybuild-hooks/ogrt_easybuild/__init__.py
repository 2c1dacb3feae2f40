"""Hooks for EasyBuild 5, by which OGRT knows what EasyBuild builds.

The hooks file of a site needs two lines:

    import sys; sys.path.insert(0, "PREFIX/share/ogrt/easybuild")
    from ogrt_easybuild import *

A site that has hooks of its own writes at the end of their file:

    import ogrt_easybuild
    ogrt_easybuild.merge_into(globals())

Policy: no hook ever fails a build. Each fault is one line in the log, which says what is not recorded.
"""
from ogrt_easybuild.hooks import end_hook, post_module_hook, post_prepare_hook
from ogrt_easybuild.merging import merge_into

# EasyBuild takes every name that ends in _hook for a hook, and refuses those it does not know.
__all__ = ["end_hook", "post_module_hook", "post_prepare_hook"]
__version__ = "1.0.0"
