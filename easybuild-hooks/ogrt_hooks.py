"""The hooks file of a site that has no hooks of its own.

    eb --hooks=PREFIX/share/ogrt/easybuild/ogrt_hooks.py
"""
import os
import sys

from easybuild.base import fancylogger
from easybuild.tools.build_log import print_warning

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
try:
    from ogrt_easybuild import *  # noqa: F403
except Exception as problem:  # A hooks file that cannot be imported would end every build.
    print_warning("OGRT: nothing will be recorded: %s" % problem, log=fancylogger.getLogger("ogrt", fname=False))
