"""`spack ogrt register` and `spack ogrt scan`, as Spack calls them. The work is in `store.py`."""
import sys

try:
    from spack.extensions.ogrt import store
except ImportError:  # Outside of Spack: the tests.
    from ogrt import store

description = "register what Spack has installed with OGRT"
section = "admin"
level = "long"


def setup_parser(subparser):
    commands = subparser.add_subparsers(metavar="SUBCOMMAND", dest="ogrt_command")
    register = commands.add_parser("register", help="register installed specs, all of them where none is named")
    register.add_argument("specs", nargs="*", metavar="SPEC", help="installed specs")
    scan = commands.add_parser("scan", help="register every installation found below a folder, by its .spack/spec.json")
    scan.add_argument("folders", nargs="+", metavar="DIR", help="a store, or a part of one")
    for command in (register, scan):
        command.add_argument("--dry-run", action="store_true", help="look, and register nothing")


def ogrt(parser, args):
    if args.ogrt_command == "register":
        prefixes = _prefixes_of(args.specs)
    elif args.ogrt_command == "scan":
        prefixes = [prefix for folder in args.folders for prefix in store.prefixes_below(folder)]
    else:
        parser.error("register or scan?")
    problems = store.register_all(prefixes, dry_run=args.dry_run, say=print)
    if problems:
        sys.exit(1)


def _prefixes_of(words):
    """The prefixes in Spack's database, without externals, which Spack did not build."""
    import spack.cmd
    import spack.store

    if words:
        specs = [spack.cmd.disambiguate_spec(spec, None) for spec in spack.cmd.parse_specs(words)]
    else:
        specs = spack.store.STORE.db.query(installed=True)
    return [str(spec.prefix) for spec in specs if not spec.external]
