"""What is read of a store, with spec.json files in the shapes that Spack has written."""
import argparse
import json
import os
import stat
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from ogrt import store  # noqa: E402
from ogrt.cmd import ogrt as command  # noqa: E402

HASH = "abcdefghijklmnopqrstuvwxyz234567"
GCC_HASH = "gccgccgccgccgccgccgccgccgccgcc22"

# Spack 1: compilers are nodes.
FORMAT_5 = {
    "spec": {
        "_meta": {"version": 5},
        "nodes": [
            {
                "name": "zlib",
                "version": "1.3.1",
                "arch": {"platform": "linux", "platform_os": "debian12", "target": "x86_64_v3"},
                "namespace": "builtin",
                "parameters": {"build_system": "makefile", "optimize": True, "cflags": []},
                "package_hash": "x",
                "dependencies": [
                    {"name": "compiler-wrapper", "hash": "w", "parameters": {"deptypes": ["build"], "virtuals": []}},
                    {"name": "gcc", "hash": GCC_HASH, "parameters": {"deptypes": ["build"], "virtuals": ["c", "cxx"]}},
                ],
                "hash": HASH,
            },
            {"name": "gcc", "version": "12.2.0", "external": {"path": "/usr"}, "hash": GCC_HASH},
        ],
    }
}
# Spack 0.18 to 0.23: the compiler is a key of the node.
FORMAT_4 = {
    "spec": {
        "_meta": {"version": 4},
        "nodes": [
            {
                "name": "hdf5",
                "version": "1.14.3",
                "compiler": {"name": "gcc", "version": "11.4.0"},
                "dependencies": [{"name": "zlib", "hash": "z", "parameters": {"deptypes": ["link"], "virtuals": []}}],
                "hash": HASH,
            }
        ],
    }
}
# Before 0.16: a list.
FORMAT_1 = {"spec": [{"bzip2": {"version": "1.0.8", "compiler": {"name": "gcc", "version": "9.3.0"}, "hash": HASH}}]}
EXTERNAL = {"spec": {"_meta": {"version": 5}, "nodes": [{"name": "gcc", "version": "12", "external": {"path": "/usr"}, "hash": "g"}]}}


class Store(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = folder.name

    def install(self, name, document):
        prefix = os.path.join(self.root, "opt", "linux-x86_64", name)
        os.makedirs(os.path.join(prefix, ".spack"))
        with open(os.path.join(prefix, ".spack", "spec.json"), "w", encoding="utf-8") as file:
            file.write(document if isinstance(document, str) else json.dumps(document))
        return prefix

    def test_every_shape_tells_who_it_is(self):
        for document, name, version, toolchain in (
            (FORMAT_5, "zlib", "1.3.1", "gcc@12.2.0"),
            (FORMAT_4, "hdf5", "1.14.3", "gcc@11.4.0"),
            (FORMAT_1, "bzip2", "1.0.8", "gcc@9.3.0"),
        ):
            told = store.identity(self.install(name, document))
            self.assertEqual(
                told,
                {
                    "OGRT_META_PACKAGER": "spack",
                    "OGRT_META_NAME": name,
                    "OGRT_META_VERSION": version,
                    "OGRT_META_PACKAGE_ID": HASH,
                    "OGRT_META_TOOLCHAIN": toolchain,
                },
            )

    def test_what_is_no_spec_is_named(self):
        for number, document in enumerate(("", "{", "[]", "{}", '{"spec": []}', '{"spec": {"nodes": [7]}}', '{"spec": [{"a": 1}]}')):
            prefix = self.install("bad%d" % number, document)
            with self.assertRaisesRegex(store.NotASpec, "bad%d" % number):
                store.identity(prefix)

    def test_prefixes_are_found_and_not_looked_into(self):
        zlib, hdf5 = self.install("zlib-1", FORMAT_5), self.install("hdf5-1", FORMAT_4)
        self.install("zlib-1/share/inner", FORMAT_1)
        self.assertEqual(store.prefixes_below(self.root), [hdf5, zlib])
        self.assertEqual(store.prefixes_below(zlib), [zlib])

    def test_scan_runs_ogrt_for_each_with_its_own_metadata(self):
        zlib = self.install("zlib-1", FORMAT_5)
        self.install("gcc-12", EXTERNAL)
        bad = self.install("bad", "{")
        program = os.path.join(self.root, "ogrt")
        with open(program, "w", encoding="utf-8") as file:
            file.write('#!/bin/sh\necho "$@" $OGRT_META_NAME $OGRT_META_EXTRA $LD_PRELOAD\n')
        os.chmod(program, os.stat(program).st_mode | stat.S_IXUSR)
        kept = dict(os.environ)
        os.environ.update(PATH=self.root + ":" + os.environ["PATH"], OGRT_META_EXTRA="stale", LD_PRELOAD="")
        try:
            parser = argparse.ArgumentParser()
            command.setup_parser(parser)
            said = []
            args = parser.parse_args(["scan", "--dry-run", self.root])
            prefixes = [prefix for folder in args.folders for prefix in store.prefixes_below(folder)]
            problems = store.register_all(prefixes, dry_run=args.dry_run, say=said.append)
        finally:
            os.environ.clear()
            os.environ.update(kept)
        self.assertEqual(problems, 1)
        self.assertIn("register --prefix %s --dry-run zlib" % zlib, said)
        self.assertEqual(len(said), 2)
        self.assertTrue(any(line.startswith(bad) for line in said), said)


if __name__ == "__main__":
    unittest.main()
