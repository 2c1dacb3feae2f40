"""Spack's compiler wrapper, with OGRT_META_* for ogrt-cc. A site opts in by adding this repository.

The wrapper itself is Spack's, unchanged. OGRT_META_* hold name, version, the whole spec, and the
full DAG hash, of which SPACK_SHORT_SPEC has seven characters.
"""
from spack_repo.builtin.packages.compiler_wrapper.package import CompilerWrapper as BuiltinCompilerWrapper
from spack_repo.builtin.packages.compiler_wrapper.package import GenericBuilder as BuiltinGenericBuilder

from spack.package import *


class CompilerWrapper(BuiltinCompilerWrapper):
    __doc__ = BuiltinCompilerWrapper.__doc__


class GenericBuilder(BuiltinGenericBuilder):
    def setup_dependent_build_environment(
        self, env: EnvironmentModifications, dependent_spec: Spec
    ) -> None:
        super().setup_dependent_build_environment(env, dependent_spec)
        env.set("OGRT_META_PACKAGER", "spack")
        env.set("OGRT_META_NAME", dependent_spec.name)
        env.set("OGRT_META_VERSION", str(dependent_spec.version))
        env.set("OGRT_META_PACKAGE_ID", dependent_spec.dag_hash())
        env.set("OGRT_META_SPEC", dependent_spec.format("{name}{@version}{variants}{ arch=architecture}"))
        for language in ("c", "cxx", "fortran"):
            if dependent_spec.has_virtual_dependency(language):
                env.set("OGRT_META_TOOLCHAIN", dependent_spec[language].format("{name}-{version}"))
                break
