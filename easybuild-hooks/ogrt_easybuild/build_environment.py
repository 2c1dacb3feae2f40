"""The environment of a build: our wrappers in front of PATH, and OGRT_META_* for them.

The wrappers stand there under the compilers' own names. Called as `gcc`, ogrt-cc becomes the next
`gcc` on PATH. That is EasyBuild's RPATH wrapper if there is one, else ccache, else the toolchain's
compiler. So nothing is skipped. `CC=gcc`, absolute paths found along PATH, CMake and setuptools all
reach us.

For extensions EasyBuild makes the environment once more, from nothing. It calls `prepare` of this one
toolchain instance for that, so `prepare` puts us in front again. EasyBuild makes its RPATH wrappers
for what stands first on PATH. We are not there while it does.
"""
import functools
import os
import platform
import shutil
import tempfile

COMPILERS = (
    "cc c++ gcc g++ gfortran clang clang++ flang flang-new "
    "icc icpc ifort icx icpx ifx dpcpp nvc nvc++ nvfortran pgcc pgc++ pgfortran armclang armclang++ armflang "
    "amdclang amdclang++ amdflang fcc FCC frt"
).split()
LINKERS = "ld ld.bfd ld.gold ld.lld ld.mold ld.wild mold".split()

_FOLDER_PREFIX = "ogrt-wrappers-"


def enter(easyblock, ogrt):
    """Turns this process's environment into that of a recorded build."""
    _enter(easyblock, ogrt)
    if easyblock.cached_build_env is not None:
        # EasyBuild has taken its copy just before us, and goes back to it after the extensions.
        easyblock.cached_build_env = dict(os.environ)
    toolchain = easyblock.toolchain
    if "prepare" in vars(toolchain):
        return
    prepare = toolchain.prepare

    @functools.wraps(prepare)
    def prepare_with_wrappers(*args, **kwargs):
        _take_off_path()
        result = prepare(*args, **kwargs)
        try:
            _enter(easyblock, ogrt)
        except Exception as problem:
            easyblock.log.warning("OGRT: builds of extensions are not recorded: %s", problem)
        return result

    toolchain.prepare = prepare_with_wrappers


def leave(easyblock):
    """Ends the recorded build. EasyBuild uses the toolchain without us from here on."""
    vars(easyblock.toolchain).pop("prepare", None)
    _take_off_path()


def metadata(easyblock):
    """What the note and the registry hold of the build. EasyBuild itself exports none of it."""
    cfg = easyblock.cfg
    toolchain = easyblock.toolchain
    if toolchain.is_system_toolchain():
        toolchain_name = "system"
    else:
        toolchain_name = "%s-%s" % (toolchain.name, toolchain.version)
    return {
        "OGRT_META_NAME": easyblock.name,
        "OGRT_META_VERSION": easyblock.version,
        "OGRT_META_VERSIONSUFFIX": cfg["versionsuffix"],
        "OGRT_META_TOOLCHAIN": toolchain_name,
        "OGRT_META_PACKAGER": "easybuild",
        "OGRT_META_PACKAGE_ID": os.path.basename(cfg.path) if cfg.path else cfg.filename(),
        "OGRT_META_MODULE": easyblock.short_mod_name,
    }


def _enter(easyblock, ogrt):
    for name, value in metadata(easyblock).items():
        if value:
            os.environ[name] = value
        else:
            os.environ.pop(name, None)
    _take_off_path()
    folder = _wrappers_under_their_names(ogrt, _compilers_of(easyblock.toolchain))
    os.environ["PATH"] = os.pathsep.join([folder, os.environ.get("PATH", "")])
    easyblock.log.info("OGRT: wrappers in front of PATH: %s", folder)


def _compilers_of(toolchain):
    """The compilers that we know, and those that this toolchain names besides."""
    names = list(COMPILERS)
    names.extend("%s-linux-gnu-%s" % (platform.machine(), name) for name in ("gcc", "g++", "gfortran"))
    if not toolchain.is_system_toolchain():
        for group in toolchain.compilers():
            names.extend(str(name) for name in group or () if name)
    return names


def _wrappers_under_their_names(ogrt, compilers):
    # The folder lies in EasyBuild's own for temporary files, which is deleted when the run ends.
    folder = tempfile.mkdtemp(prefix=_FOLDER_PREFIX)
    for names, wrapper in ((compilers, ogrt.compiler_wrapper), (LINKERS, ogrt.linker_wrapper)):
        for name in names:
            link = os.path.join(folder, name)
            # A compiler that does not exist must not seem to exist.
            if os.path.basename(name) == name and shutil.which(name) and not os.path.lexists(link):
                os.symlink(wrapper, link)
    return folder


def _take_off_path():
    path = os.environ.get("PATH", "").split(os.pathsep)
    kept = [folder for folder in path if not os.path.basename(folder).startswith(_FOLDER_PREFIX)]
    if kept != path:
        os.environ["PATH"] = os.pathsep.join(kept)
