//! Outputs that are not ordinary programs: firmware, kernel modules, programs of another machine,
//! programs with a linker script or a libc of their own, and CUDA. What gets no note is the same
//! byte by byte, and its record tells the reason.

use ogrt_builds_tests::{Archive, Software};

#[test]
fn library_of_a_32_bit_machine() {
    let lines = "export OGRT_META_NAME=zlib\n\
                 CC='ogrt-cc arm-linux-gnueabihf-gcc' AR=arm-linux-gnueabihf-ar RANLIB=arm-linux-gnueabihf-ranlib \
                 ./configure --prefix=/opt/zlib\n\
                 make\n\
                 make test QEMU_RUN='qemu-arm -L /usr/arm-linux-gnueabihf'\n\
                 make install\n";
    Software {
        name: "zlib",
        archive: Archive::Debian {
            package: "zlib",
            file: "zlib_1.2.13.dfsg.orig.tar.bz2",
            sha256: "71feb7947e3c00ef125f83b79a4e529bde31171e5babe48b391f06758d1ab0a1",
        },
        tools: &["arm-linux-gnueabihf-gcc", "qemu-arm", "make"],
        lines: lines.into(),
        results: &["hello", "OK"],
        results_min: 15,
        installs: &["lib/libz.so.1.2.13"],
        probes: &["ztest"],
        ..Software::PLAIN
    }
    .try_out();
}
