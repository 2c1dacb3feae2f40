//! Drivers that the usual run has no package of: nvcc, hipcc and `zig cc`. Each does what it does
//! without us, and what it links has a record.

use ogrt_builds_tests::{Bench, cuda, full_run_only, has_tools, lacks, zig};
use std::path::{Path, PathBuf};

/// The folder of a toolkit; says why the test is skipped if there is none.
fn toolkit(name: &str, folder: anyhow::Result<PathBuf>) -> Option<PathBuf> {
    folder.map_err(|why| lacks(name, Some(&why))).ok()
}

#[test]
fn phases_of_nvcc_link_nothing_and_a_program_is_marked() {
    if !full_run_only() || !has_tools(&["g++"]) {
        return;
    }
    let Some(cuda) = toolkit("nvcc", cuda()) else { return };
    let bench = Bench::new();
    bench.write("device.cu", "__device__ int twice(int value) { return 2 * value; }\n");
    bench.write(
        "main.cu",
        "#include <cstdio>\n__global__ void fill(int *to) { to[threadIdx.x] = threadIdx.x; }\n\
         int main() { std::printf(\"answer %d\\n\", 42); return 0; }\n",
    );
    let (nvcc, bin) = (cuda.join("bin"), bench.bin());
    let device = bench.run("nvcc -arch=sm_90 -dc main.cu device.cu", &[&nvcc]);
    assert_eq!(device.code, 0, "{device:?}");
    // Their contents hold the names of temporary files, which hold the process id.
    let phases = [
        "-c device.cu",
        "-dc device.cu",
        "-dw device.cu",
        "-ptx device.cu",
        "-cubin device.cu",
        "-fatbin device.cu",
        "-optix-ir device.cu",
        "-ltoir device.cu",
        "-cuda device.cu",
        "-E device.cu",
        "-M device.cu",
        "-dlink main.o device.o",
        "--device-link main.o device.o",
        "--lib main.o device.o",
        "--version",
        "--list-gpu-arch",
        "--no-such-option device.cu",
    ];
    for phase in phases {
        let line = |nvcc: &str| {
            format!(
                "rm -f out; code=0; {nvcc} -arch=sm_90 {phase} -o out || code=$?; echo $code; \
                     [ ! -e out ] || wc -c < out"
            )
        };
        let bare = bench.run(&line("nvcc"), &[&nvcc]);
        let ours = bench.run(&line("ogrt-cc nvcc"), &[&bin, &nvcc]);
        assert_eq!(ours, bare, "{phase}");
        println!("{phase}: {}", bare.stdout.trim().replace('\n', ", "));
    }
    bench.expect_records(0);
    let libraries = cuda.join("lib").display().to_string();
    for options in ["", "-rdc=true device.cu", "-Xcompiler -fopenmp", "-O2 -lineinfo"] {
        bench.succeeds(
            &format!("ogrt-cc nvcc -arch=sm_90 main.cu {options} -L{libraries} -o program"),
            &[&bin, &nvcc],
        );
        bench.one_record_of("program");
    }
}

#[test]
fn phases_of_hipcc_link_nothing_and_a_program_is_marked() {
    if !full_run_only() || !has_tools(&["hipcc", "ld.lld"]) {
        return;
    }
    let bench = Bench::new();
    bench.write(
        "device.hip",
        "#include <hip/hip_runtime.h>\n__global__ void fill(int *to) { to[threadIdx.x] = threadIdx.x; }\n",
    );
    bench.write(
        "main.hip",
        "#include <hip/hip_runtime.h>\n#include <cstdio>\n\
         __global__ void fill(int *to) { to[threadIdx.x] = threadIdx.x; }\n\
         int main() { int gpus = 0; (void)hipGetDeviceCount(&gpus); std::printf(\"answer %d\\n\", 42);\n\
         if (gpus) fill<<<1, 1>>>(nullptr); return 0; }\n",
    );
    let bin = bench.bin();
    let made = bench.run("hipcc --offload-arch=gfx90a -c main.hip", &[]);
    assert_eq!(made.code, 0, "{made:?}");
    for phase in [
        "-c device.hip",
        "-fgpu-rdc -c device.hip",
        "--genco device.hip",
        "--cuda-device-only -c device.hip",
        "--cuda-host-only -c device.hip",
        "-S device.hip",
        "-E device.hip",
        "-M device.hip",
        "main.o -lnone",
        "--version",
        "--no-such-option device.hip",
    ] {
        let line = |hipcc: &str| {
            format!(
                "rm -f out; code=0; {hipcc} --offload-arch=gfx90a {phase} -o out || code=$?; echo $code; \
                     [ ! -e out ] || wc -c < out"
            )
        };
        let bare = bench.run(&line("hipcc"), &[]);
        let ours = bench.run(&line("ogrt-cc hipcc"), &[&bin]);
        assert_eq!(ours, bare, "{phase}");
        println!("{phase}: {}", bare.stdout.trim().replace('\n', ", "));
    }
    bench.expect_records(0);
    for line in ["main.hip", "main.o", "-fuse-ld=lld main.hip"] {
        bench.succeeds(&format!("ogrt-cc hipcc --offload-arch=gfx90a {line} -o program"), &[&bin]);
        bench.one_record_of("program");
    }
}

/// Runs a line bare and by us, and compares all but the program. The first run fills caches, and
/// may say so.
fn ends_the_same(bench: &Bench, front: &[&Path], bare: &str, ours: &str, line: &str) {
    let run = |compiler: &str| {
        bench.run(
            &format!("rm -f program; code=0; {} || code=$?; echo $code", line.replace("%CC", compiler)),
            front,
        )
    };
    run(bare);
    let bare = run(bare);
    assert_eq!(run(ours), bare, "{ours}: {line}");
}

#[test]
fn zig_cc_in_every_form() {
    if !full_run_only() {
        return;
    }
    let Some(zig) = toolkit("zig", zig()) else { return };
    let bench = Bench::new();
    let bin = bench.bin();
    const SCRIPT: &str = "#!/bin/sh\nexec zig cc \"$@\"\n";
    bench.script("zcc", SCRIPT);
    let front: [&Path; 2] = [&bin, &zig];
    let cache = format!(
        "export ZIG_GLOBAL_CACHE_DIR={} ZIG_LOCAL_CACHE_DIR={}",
        bench.path("cache").display(),
        bench.path("cache").display()
    );
    for (ours, real) in [
        ("ogrt-cc zig cc", "zig cc"),
        ("ogrt-cc ./zcc", "./zcc"),
        ("OGRT_REAL_CC='zig cc' ogrt-cc", "zig cc"),
    ] {
        for line in [
            "%CC main.c -o program",
            "%CC -c main.c -o main.o",
            "%CC main.o -o program",
            "%CC -O2 -s main.c -o program",
            "%CC missing.c -o program",
            "%CC main.o -lnone -o program",
            "%CC --version",
            "%CC -target aarch64-linux-musl main.c -o program",
            "%CC -shared -fPIC main.c -o program",
        ] {
            ends_the_same(&bench, &front, real, ours, &format!("{cache}; {line}"));
        }
        // By its own name it is not led: the record tells why there is no note.
        let alone = Bench::new();
        alone.script("zcc", SCRIPT);
        alone.succeeds(&format!("{cache}; {ours} main.c -o program"), &front);
        let marks = alone.run("readelf -SW program | grep -c note.ogrt || true", &front).stdout;
        println!("{ours}: {} notes", marks.trim());
        alone.expect_records(1);
    }
}
