//! Well-known programs with build systems and options that `real_builds.rs` has not: each is built
//! without us and with us.

use ogrt_builds_tests::{Archive, Software};

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
