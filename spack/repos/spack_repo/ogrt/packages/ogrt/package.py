"""OGRT itself: Cargo builds it, and the project's own chore installs it, as everywhere."""
from spack_repo.builtin.build_systems import cargo
from spack_repo.builtin.build_systems.cargo import CargoPackage

from spack.package import *


class Ogrt(CargoPackage):
    """Signatures in what is linked, events of what runs, and a server that joins them."""

    # A site names its own clone or mirror here. `spack develop ogrt@main` builds a local checkout.
    git = "file:///path/to/ogrt"

    license("GPL-3.0-or-later")

    version("main", branch="main")

    depends_on("rust@1.95:", type="build")
    depends_on("c", type="build")
    depends_on("gmake", type="build")
    depends_on("cmake", type="build")
    depends_on("binutils", type="build")

    executables = ["^ogrt$"]

    @classmethod
    def determine_version(cls, exe):
        return Executable(exe)("--version", output=str, error=str).split()[-1]

    def setup_run_environment(self, env: EnvironmentModifications) -> None:
        # Nothing is tracked until somebody asks for it by `ogrt run`, `ogrt env` or a module file.
        env.prepend_path("PATH", self.prefix.bin)


class CargoBuilder(cargo.CargoBuilder):
    """One chore builds and installs, since libogrt.so has its own profile and target folder."""

    def build(self, pkg, spec, prefix):
        pass

    def install(self, pkg, spec, prefix):
        with working_dir(self.build_directory):
            pkg.module.cargo("xtask", "install", "--prefix", prefix)

    def check(self):
        with working_dir(self.build_directory):
            self.pkg.module.cargo("xtask", "test", "--fast")
