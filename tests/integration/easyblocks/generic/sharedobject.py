"""An extension that is one shared object, linked by $CC: what RPackage or PythonPackage come to, without their languages."""
import os

from easybuild.framework.extensioneasyblock import ExtensionEasyBlock
from easybuild.tools.filetools import mkdir, write_file
from easybuild.tools.run import run_shell_cmd


class SharedObject(ExtensionEasyBlock):
    def install_extension(self, *args, **kwargs):
        source = os.path.join(self.master.builddir, '%s.c' % self.name)
        write_file(source, 'int %s(void) { return 0; }\n' % self.name)
        lib = os.path.join(self.installdir, 'lib')
        mkdir(lib, parents=True)
        run_shell_cmd('$CC -shared -fPIC -o %s/%s.so %s' % (lib, self.name, source))

    def sanity_check_step(self, *args, **kwargs):
        path = os.path.join(self.installdir, 'lib', '%s.so' % self.name)
        return os.path.exists(path), '' if os.path.exists(path) else '%s is not there' % path
