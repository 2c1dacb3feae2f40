//! Well-known programs with build systems and options that `real_builds.rs` has not: each is built
//! without us and with us.

use ogrt_builds_tests::{Archive, Software, full_run_only};

#[test]
fn lua() {
    let lines = "export OGRT_META_NAME=lua\n\
                 make linux CC=ogrt-cc\n\
                 make test\n\
                 src/lua -e 'for i = 1, 9 do print(\"square\", i, i * i) end'\n\
                 make install INSTALL_TOP=/opt/lua\n";
    Software {
        name: "lua",
        archive: Archive::Debian {
            package: "lua5.4",
            file: "lua5.4_5.4.4.orig.tar.gz",
            sha256: "164c7849653b80ae67bec4b7473b884bf5cc8d2dca05653475ec2ed27b9ebf61",
        },
        tools: &["gcc", "make"],
        lines: lines.into(),
        results: &["PUC-Rio", "square"],
        results_min: 10,
        installs: &["bin/lua", "bin/luac"],
        ..Software::PLAIN
    }
    .try_out();
}

#[test]
fn autotools_that_make_their_own_configure() {
    if !full_run_only() {
        return;
    }
    let lines = "export CC=ogrt-cc OGRT_META_NAME=htop\n\
                 ./autogen.sh > /dev/null 2>&1\n\
                 ./configure --prefix=/opt/htop\n\
                 make && make install\n\
                 ./htop --version && ./htop --help\n";
    Software {
        name: "htop",
        archive: Archive::Debian {
            package: "htop",
            file: "htop_3.2.2.orig.tar.gz",
            sha256: "3829c742a835a0426db41bb039d1b976420c21ec65e93b35cd9bfd2d57f44ac8",
        },
        tools: &["gcc", "make", "autoreconf", "pkg-config", "/usr/include/ncurses.h"],
        lines: lines.into(),
        results: &["--"],
        results_min: 10,
        installs: &["bin/htop"],
        ..Software::PLAIN
    }
    .try_out();
}

#[test]
fn configure_that_is_not_autoconfs() {
    if !full_run_only() {
        return;
    }
    // What is on configure's line is in the program.
    let lines = "export CC=ogrt-cc OGRT_META_NAME=nginx\n\
                 ./configure --prefix=/opt/nginx --with-stream=dynamic\n\
                 make && make install\n\
                 /opt/nginx/sbin/nginx -v\n\
                 /opt/nginx/sbin/nginx -t\n";
    Software {
        name: "nginx",
        archive: Archive::Debian {
            package: "nginx",
            file: "nginx_1.22.1.orig.tar.gz",
            sha256: "9ebb333a9e82b952acd3e2b4aeb1d4ff6406f72491bab6cd9fe69f0dea737f31",
        },
        tools: &["gcc", "make", "/usr/include/pcre2.h", "/usr/include/zlib.h"],
        lines: lines.into(),
        results: &["nginx version", "test is successful", "syntax is ok"],
        results_min: 3,
        installs: &["sbin/nginx", "modules/ngx_stream_module.so"],
        ..Software::PLAIN
    }
    .try_out();
}

#[test]
fn cmake_with_link_time_optimisation() {
    if !full_run_only() {
        return;
    }
    // CMake looks for the archiver of the compiler that it was told. Without a seed, the names of
    // sections in the static library are random.
    let lines = "export CC=ogrt-cc CFLAGS=-frandom-seed=1 OGRT_META_NAME=cjson\n\
                 cmake -S . -B build -DCMAKE_INSTALL_PREFIX=/opt/cjson -DCMAKE_BUILD_TYPE=Release \
                 -DCMAKE_INTERPROCEDURAL_OPTIMIZATION=ON -DCMAKE_POLICY_DEFAULT_CMP0069=NEW \
                 -DBUILD_SHARED_AND_STATIC_LIBS=ON\n\
                 cmake --build build\n\
                 ctest --test-dir build\n\
                 cmake --install build\n";
    Software {
        name: "cjson",
        archive: Archive::Debian {
            package: "cjson",
            file: "cjson_1.7.15.orig.tar.gz",
            sha256: "5308fd4bd90cef7aa060558514de6a1a4a0819974a26e6ed13973c5f624c24b2",
        },
        tools: &["gcc", "make", "cmake"],
        lines: lines.into(),
        results: &["Test #"],
        results_min: 15,
        installs: &["lib/libcjson.so.1.7.15"],
        ..Software::PLAIN
    }
    .try_out();
}

#[test]
fn meson_in_cpp() {
    if !full_run_only() {
        return;
    }
    let lines = "export CC=ogrt-cc CXX=ogrt-c++ OGRT_META_NAME=jsoncpp\n\
                 meson setup build --prefix=/opt/jsoncpp --libdir=lib -Dbuildtype=plain\n\
                 ninja -C build\n\
                 meson test -C build\n\
                 meson install -C build\n";
    Software {
        name: "jsoncpp",
        archive: Archive::Debian {
            package: "libjsoncpp",
            file: "libjsoncpp_1.9.5.orig.tar.gz",
            sha256: "f409856e5920c18d0c2fb85276e24ee607d2a09b5e7d5f0a371368903c275da2",
        },
        tools: &["g++", "meson", "ninja", "python3"],
        lines: lines.into(),
        results: &[" OK", "Fail", "Ok:"],
        results_min: 4,
        installs: &["lib/libjsoncpp.so.25"],
        ..Software::PLAIN
    }
    .try_out();
}

#[test]
fn program_with_an_allocator_of_its_own() {
    if !full_run_only() {
        return;
    }
    // It writes down when and where it was built.
    let lines = "export OGRT_META_NAME=redis SOURCE_DATE_EPOCH=1700000000\n\
                 make CC=ogrt-cc OPTIMIZATION=-O1 REDIS_CFLAGS=-g0 V=1\n\
                 src/redis-server --version\n\
                 src/redis-cli --version\n\
                 src/redis-server --port 0 --unixsocket $PWD/socket --daemonize yes --save '' > /dev/null\n\
                 while [ ! -S socket ]; do sleep 0.1; done\n\
                 src/redis-cli -s socket set key 42 && src/redis-cli -s socket get key\n\
                 src/redis-cli -s socket shutdown nosave\n\
                 make CC=ogrt-cc OPTIMIZATION=-O1 REDIS_CFLAGS=-g0 PREFIX=/opt/redis install\n";
    Software {
        name: "redis",
        archive: Archive::Debian {
            package: "redis",
            file: "redis_7.0.15.orig.tar.gz",
            sha256: "4b1dc4ee6d622a09fff9c6777191209750fb5e5a725ef78ea012d6eef4c22982",
        },
        tools: &["gcc", "make"],
        lines: lines.into(),
        results: &["OK", "42", "Redis server v="],
        results_min: 3,
        installs: &["bin/redis-server", "bin/redis-cli"],
        ..Software::PLAIN
    }
    .try_out();
}

#[test]
fn library_and_programs_by_makefiles_that_call_each_other() {
    if !full_run_only() {
        return;
    }
    let lines = "export OGRT_META_NAME=lz4\n\
                 make lib lz4 CC=ogrt-cc V=1\n\
                 for level in 1 9 12; do programs/lz4 -$level -c lib/lz4.c | programs/lz4 -dc | \
                 cmp - lib/lz4.c && echo level $level; done\n\
                 make install CC=ogrt-cc PREFIX=/opt/lz4\n";
    Software {
        name: "lz4",
        archive: Archive::Debian {
            package: "lz4",
            file: "lz4_1.9.4.orig.tar.gz",
            sha256: "0b0e3aa07c8c063ddf40b082bdf7e37a1562bda40a0ff5272957f3e987e0e54b",
        },
        tools: &["gcc", "make"],
        lines: lines.into(),
        results: &["level "],
        results_min: 3,
        installs: &["bin/lz4", "lib/liblz4.so.1.9.4"],
        ..Software::PLAIN
    }
    .try_out();
}

#[test]
fn cpp_program_that_edits_programs() {
    if !full_run_only() {
        return;
    }
    // Some tests come with programs of other machines.
    let lines = "export CC=ogrt-cc CXX=ogrt-c++ OGRT_META_NAME=patchelf\n\
                 rm -r tests/endianness tests/invalid-elf tests/no-rpath-prebuild\n\
                 autoreconf -i > /dev/null 2>&1\n\
                 ./configure --prefix=/opt/patchelf CXXFLAGS=-O1\n\
                 make && make install\n\
                 cp src/patchelf edited\n\
                 src/patchelf --set-rpath /none edited && src/patchelf --print-rpath edited\n\
                 ./edited --version && ./edited --print-needed edited\n\
                 rm edited\n";
    Software {
        name: "patchelf",
        archive: Archive::Debian {
            package: "patchelf",
            file: "patchelf_0.14.3.orig.tar.gz",
            sha256: "827a8ca914c69413f1ca0d967a637980a24edf000a938531a77e663317c853bb",
        },
        tools: &["g++", "make", "autoreconf"],
        lines: lines.into(),
        results: &["/none", "patchelf 0", ".so."],
        results_min: 4,
        installs: &["bin/patchelf"],
        ..Software::PLAIN
    }
    .try_out();
}
