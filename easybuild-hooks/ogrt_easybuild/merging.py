"""Our hooks and the site's own, in one hooks file.

The site's hook runs first, and ours after it. So our wrappers stand in front of whatever a site
does to PATH, and we look at an installation after the site has finished it.
"""
import functools

from ogrt_easybuild import hooks

OURS = ("post_prepare_hook", "post_module_hook", "end_hook")


def merge_into(namespace):
    """Puts our hooks into the `globals()` of a hooks file, behind those that it defines."""
    for name in OURS:
        ours, theirs = getattr(hooks, name), namespace.get(name)
        namespace[name] = ours if theirs is None else _one_after_the_other(theirs, ours)


def _one_after_the_other(theirs, ours):
    @functools.wraps(theirs)
    def both(*args, **kwargs):
        result = theirs(*args, **kwargs)
        ours(*args, **kwargs)
        return result

    return both
