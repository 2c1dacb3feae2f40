//! Languages with build tools of their own: each builds a package by the manual's lines, without us
//! and with us.

use ogrt_builds_tests::{Archive, LinkedBy, Software, block, full_run_only, is_full_run};

#[test]
fn perl_module() {
    // One of the tests needs a module that the perl of the system has not.
    let before = "rm t/03scalar.t\nexport PERL_MM_OPT=INSTALL_BASE=/opt/Clone\n";
    Software {
        name: "Clone",
        archive: Archive::Debian {
            package: "libclone-perl",
            file: "libclone-perl_0.46.orig.tar.gz",
            sha256: "aadeed5e4c8bd6bbdf68c0dd0066cb513e16ab9e5b4382dc4a0aafd55890697b",
        },
        tools: &["perl", "gcc", "make"],
        lines: before.to_owned() + &block("Perl modules"),
        results: &["t/"],
        results_min: 8,
        installs: &["auto/Clone/Clone.so"],
        varying: &[".packlist"],
        // Addresses and times.
        noise: &["0x", "wallclock"],
        ..Software::PLAIN
    }
    .try_out();
}

#[test]
fn r_package_in_fortran() {
    if !full_run_only() {
        return;
    }
    let after = "for test in tests/test?.R; do R_LIBS=/opt/quadprog Rscript $test; done\n";
    Software {
        name: "quadprog",
        archive: Archive::Debian {
            package: "r-cran-quadprog",
            file: "quadprog_1.5-8.orig.tar.gz",
            sha256: "22128dd6b08d3516c44ff89276719ad4fe46b36b23fdd585274fa3a93e7a49cd",
        },
        tools: &["R", "gfortran", "/usr/lib/x86_64-linux-gnu/blas/libblas.so"],
        lines: "mkdir -p /opt/quadprog\n".to_owned() + &block("R packages") + after,
        results: &["[1]", "$solution", "$value"],
        results_min: 4,
        installs: &["libs/quadprog.so"],
        // They hold the time of the installation.
        varying: &["DESCRIPTION", "Meta/package.rds", "Meta/hsearch.rds"],
        ..Software::PLAIN
    }
    .try_out();
}

#[test]
fn ocaml_programs_and_plugins() {
    if !full_run_only() {
        return;
    }
    // Its makefile is not made for several jobs.
    let before = "unset MAKEFLAGS\n./configure -bindir /opt/findlib/bin -mandir /opt/findlib/man \
                  -sitelib /opt/findlib/lib -config /opt/findlib/findlib.conf\n";
    let after = "/opt/findlib/bin/ocamlfind list\n/opt/findlib/bin/ocamlfind query findlib\n";
    Software {
        name: "findlib",
        archive: Archive::Debian {
            package: "findlib",
            file: "findlib_1.9.6.orig.tar.gz",
            sha256: "2df996279ae16b606db5ff5879f93dbfade0898db9f1a3e82f7f845faa2930a2",
        },
        tools: &["ocamlopt", "gcc", "make", "m4"],
        lines: before.to_owned() + &block("OCaml") + after,
        results: &["(version:", "/lib/findlib"],
        results_min: 10,
        installs: &["bin/ocamlfind", "findlib/findlib.cmxs"],
        // The bytecode is put behind the program.
        moves_outputs: true,
        ..Software::PLAIN
    }
    .try_out();
}

#[test]
fn pascal_program() {
    if !full_run_only() {
        return;
    }
    let after = "mkdir -p /opt/pasdoc/bin\ncp bin/pasdoc /opt/pasdoc/bin\n\
                 bin/pasdoc --version\nmkdir html\n\
                 bin/pasdoc --format html --output html --exclude-generator source/component/PasDoc_Types.pas || true\n\
                 sha256sum html/*.html\n";
    Software {
        name: "pasdoc",
        archive: Archive::Debian {
            package: "pasdoc",
            file: "pasdoc_0.16.0.orig.tar.xz",
            sha256: "eccdf513c928b2f10c3a591429ead0150bc05dfe384078629fc22e4f4861e73c",
        },
        tools: &[
            "fpc",
            "make",
            "/usr/lib/x86_64-linux-gnu/fpc/3.2.2/units/x86_64-linux/fcl-base/contnrs.ppu",
        ],
        lines: block("Pascal") + after,
        results: &[".html", "PasDoc 0.16"],
        results_min: 3,
        installs: &["bin/pasdoc"],
        noise: &["lines compiled"],
        linked_by: LinkedBy::LinkerAlone,
        ..Software::PLAIN
    }
    .try_out();
}

#[test]
fn nim_program() {
    // Nim keeps what it has compiled; the place of it is in the programs.
    let cache = "printf -- '--nimcache:cache\\n' > nim.cfg\n";
    Software {
        name: "kexpr",
        archive: Archive::Debian {
            package: "nim-kexpr",
            file: "nim-kexpr_0.0.2.orig.tar.gz",
            sha256: "ff8b240b7a97a2c1fc9a112b558578effe267ca8350393b2055bb184c6aadd8a",
        },
        tools: &["nim", "gcc"],
        lines: cache.to_owned()
            + &block("Nim")
            + "./tests\nmkdir -p /opt/kexpr/bin\ncp tests /opt/kexpr/bin\n",
        results: &["[OK]", "true"],
        results_min: 3,
        installs: &["bin/tests"],
        noise: &["peakmem"],
        ..Software::PLAIN
    }
    .try_out();
}

#[test]
fn addon_of_node() {
    // npm brings node-gyp along.
    let before = "export PATH=$PATH:$(npm root -g)/npm/bin/node-gyp-bin\n";
    let after = "mkdir -p /opt/bufferutil\ncp build/Release/bufferutil.node /opt/bufferutil/\n\
                 cat > test.js <<'END'\n\
                 const { mask, unmask } = require('./build/Release/bufferutil.node');\n\
                 for (const length of [0, 1, 7, 8, 63, 64, 1000]) {\n\
                 const source = Buffer.alloc(length, 'abc'), key = Buffer.from([1, 2, 3, 4]);\n\
                 const masked = Buffer.alloc(length);\n\
                 mask(source, key, masked, 0, length);\n\
                 const differs = masked.equals(source);\n\
                 unmask(masked, key);\n\
                 console.log('length', length, differs, masked.equals(source));\n\
                 }\n\
                 END\n\
                 node test.js\n";
    Software {
        name: "bufferutil",
        archive: Archive::Npm {
            package: "bufferutil@4.0.8",
            file: "bufferutil-4.0.8.tgz",
            sha256: "5c2fd962b75fb890764a7ee2815a95691a70ece8d2ade67579a19e43b9e8e991",
        },
        tools: &["node", "npm", "make", "g++", "python3", "/usr/include/node/node_api.h"],
        lines: format!("rm -r prebuilds\n{before}{}{after}", block("Addons of node")),
        results: &["length"],
        results_min: 7,
        installs: &["bufferutil.node"],
        ..Software::PLAIN
    }
    .try_out();
}

#[test]
fn cgo_program() {
    // The system's SQLite, so that the usual run need not compile one. The build id of Go holds
    // the compiler's name.
    let before = "export GOFLAGS='-tags=libsqlite3 -ldflags=-buildid=' GOTOOLCHAIN=local\n";
    let after = "mkdir -p /opt/go-sqlite3/bin\ncp simple /opt/go-sqlite3/bin\n./simple\n";
    let tests = if is_full_run() {
        "go test -c -o sqlite3.test .\n./sqlite3.test -test.v | grep -v '^=== '\n"
    } else {
        ""
    };
    Software {
        name: "go-sqlite3",
        archive: Archive::Go {
            module: "github.com/mattn/go-sqlite3@v1.14.22",
            file: "go-sqlite3-1.14.22.zip",
            sha256: "047790c4f1ff7b25e57eb3603e7edd8e2d07e0f868542ea7d9243a316c38725d",
        },
        tools: &["go", "gcc", "python3", "/usr/include/sqlite3.h"],
        lines: before.to_owned() + &block("Go with cgo") + after + tests,
        results: &["こんにちは世界", "--- "],
        results_min: if is_full_run() { 100 } else { 10 },
        installs: &["bin/simple"],
        moves_outputs: true,
        ..Software::PLAIN
    }
    .try_out();
}
