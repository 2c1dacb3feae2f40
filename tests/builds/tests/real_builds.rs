//! Each build system with a real package. Its own tests pass as they do without us, and what it
//! installs is the same but for the note. The server knows each program and library completely, and
//! no probe.
//!
//! The lines are the manual's where the manual has some. A test fails when a configure script gives
//! another answer, when the build prints another line, or when an installed file differs by more
//! than the note causes.

use ogrt_builds_tests::{Archive, Software, block, full_run_only};

#[test]
fn autotools_with_libtool() {
    // Its version contains the time of the build.
    let same_time =
        r#"export CPPFLAGS='-Wno-builtin-macro-redefined -D__DATE__=\"day\" -D__TIME__=\"time\"'"#;
    Software {
        name: "gdbm",
        archive: Archive::Debian {
            package: "gdbm",
            file: "gdbm_1.23.orig.tar.gz",
            sha256: "74b1081d21fff13ae4bd7c16e5d6e504a4c26f7cde1dca0d963a484174bbcacd",
        },
        tools: &["gcc", "make"],
        lines: format!("{same_time}\n{}", block("Autotools")),
        results: &[" ok", "skipped", "FAILED", "tests were"],
        results_min: 30,
        installs: &["bin/gdbmtool", "bin/gdbm_load", "bin/gdbm_dump", "lib/libgdbm.so.6.0.0"],
        ..Software::PLAIN
    }
    .try_out();
}

#[test]
fn plain_make() {
    // The makefile of the shared library is another one, and installs nothing.
    let shared = "rm *.o\nmake -f Makefile-libbz2_so CC=ogrt-cc\ncp libbz2.so.1.0.8 /opt/bzip2/lib\n";
    Software {
        name: "bzip2",
        archive: Archive::Debian {
            package: "bzip2",
            file: "bzip2_1.0.8.orig.tar.gz",
            sha256: "ab5a03176ee106d3f0fa90e381da478ddae405918153cca248e682cd0c4a2269",
        },
        tools: &["gcc", "make"],
        lines: block("Plain make") + shared,
        results: &["cmp sample"],
        results_min: 6,
        installs: &["bin/bzip2", "bin/bzip2recover", "bin/bunzip2", "lib/libbz2.so.1.0.8"],
        ..Software::PLAIN
    }
    .try_out();
}

#[test]
fn cmake() {
    Software {
        name: "cmark",
        archive: Archive::Debian {
            package: "cmark",
            file: "cmark_0.30.2.orig.tar.gz",
            sha256: "6c7d2bcaea1433d977d8fed0b55b71c9d045a7cdf616e3cd2dce9007da753db3",
        },
        tools: &["gcc", "g++", "make", "cmake", "python3"],
        lines: block("CMake"),
        results: &["Test #"],
        results_min: 9,
        installs: &["bin/cmark", "lib/libcmark.so.0.30.2"],
        ..Software::PLAIN
    }
    .try_out();
}

#[test]
fn meson() {
    Software {
        name: "fribidi",
        archive: Archive::Debian {
            package: "fribidi",
            file: "fribidi_1.0.8.orig.tar.bz2",
            sha256: "94c7b68d86ad2a9613b4dcffe7bbeb03523d63b5b37918bdf2e4ef34195c1e6c",
        },
        tools: &["gcc", "meson", "ninja"],
        lines: block("Meson"),
        results: &[" OK", "Fail", "Skip", "Ok:"],
        results_min: 10,
        installs: &["bin/fribidi", "libfribidi.so.0.4.0"],
        ..Software::PLAIN
    }
    .try_out();
}

#[test]
fn fortran_and_cpp_in_libtool_libraries() {
    // Debian's archive lacks the manual, which make would typeset.
    let lines = "export CC=ogrt-cc CXX=ogrt-c++ FC=ogrt-fc OGRT_META_NAME=qd\n\
                 touch docs/qd.pdf\n\
                 ./configure --prefix=/opt/qd --disable-static FCFLAGS=-O1 CXXFLAGS=-O1\n\
                 make && make check\n\
                 make install\n";
    Software {
        name: "qd",
        archive: Archive::Debian {
            package: "qd",
            file: "qd_2.3.23+dfsg.1.orig.tar.xz",
            sha256: "973a6b5cfdb629d6815daedc5087779a33e53af3c347fcd3b3d225759e285c06",
        },
        tools: &["gcc", "g++", "gfortran", "make"],
        lines: lines.into(),
        results: &["PASS", "FAIL"],
        results_min: 4,
        installs: &["libqd.so.0.0.0", "libqdmod.so.0.0.0", "libqd_f_main.so.0.0.0"],
        ..Software::PLAIN
    }
    .try_out();
}

#[test]
fn cpp_with_link_time_optimisation() {
    let lines = "export OGRT_META_NAME=lzip\n\
                 ./configure --prefix=/opt/lzip CXX=ogrt-c++ CXXFLAGS='-O2 -flto=auto' LDFLAGS='-Wl,--gc-sections'\n\
                 make && make check\n\
                 make install-bin\n";
    Software {
        name: "lzip",
        archive: Archive::Debian {
            package: "lzip",
            file: "lzip_1.23.orig.tar.xz",
            sha256: "d269d8e204579cb7047d6187bce741acb484a27e24cf24f20cf017c48574147c",
        },
        tools: &["g++", "make"],
        lines: lines.into(),
        results: &["testing", "tests completed successfully"],
        results_min: 5,
        installs: &["bin/lzip"],
        ..Software::PLAIN
    }
    .try_out();
}

#[test]
fn python_extension() {
    // Compiled Python contains the time of its source.
    let tests = "cd /opt/simplejson\nrm -r $(find . -name __pycache__)\n\
                 python3 -m unittest discover -v -t . -s simplejson/tests\n";
    Software {
        name: "simplejson",
        archive: Archive::Sdist {
            requirement: "simplejson==3.19.2",
            file: "simplejson-3.19.2.tar.gz",
            sha256: "9eb442a2442ce417801c912df68e1f6ccfcd41577ae7274953ab3ad24ef7d82c",
        },
        tools: &["gcc", "python3", "pip"],
        lines: block("Python extensions") + tests,
        results: &["ok", "skipped", "FAIL", "ERROR", "Ran "],
        results_min: 140,
        // They contain the digests of the extension and of the wheel.
        varying: &["dist-info/RECORD", "dist-info/direct_url.json"],
        noise: &["Created wheel", "Stored in directory"],
        ..Software::PLAIN
    }
    .try_out();
}

#[test]
fn cargo() {
    Software {
        name: "shellharden",
        archive: Archive::Crate { name: "shellharden" },
        tools: &["cargo", "bash"],
        lines: block("Cargo"),
        results: &["moduletests/original/", "moduletests/expected/"],
        results_min: 40,
        installs: &["bin/shellharden"],
        // The names of test programs contain a digest of the flags, and -C linker is one.
        noise: &["Running ", " generated ", "Blocking waiting"],
        ..Software::PLAIN
    }
    .try_out();
}

#[test]
fn a_larger_package() {
    if !full_run_only() {
        return;
    }
    let xz = "export CC=ogrt-cc OGRT_META_NAME=xz\n\
              ./configure --prefix=/opt/xz\n\
              make && make check\n\
              make install\n";
    Software {
        name: "xz",
        archive: Archive::Debian {
            package: "xz-utils",
            file: "xz-utils_5.4.1.orig.tar.xz",
            sha256: "5d9827aa1875b21c288f78864bb26d2650b436ea8d2cad364e4921eb6266a5a5",
        },
        tools: &["gcc", "make"],
        lines: xz.into(),
        results: &["PASS", "FAIL", "SKIP"],
        results_min: 10,
        installs: &["bin/xz", "bin/xzdec", "lib/liblzma.so.5.4.1"],
        ..Software::PLAIN
    }
    .try_out();
}
