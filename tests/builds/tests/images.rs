//! Outputs that are not ordinary programs: firmware, kernel modules, programs of another machine,
//! programs with a linker script or a libc of their own, and CUDA. What gets no note is the same
//! byte by byte, and its record tells the reason.

use ogrt_builds_tests::{Archive, LinkedBy, Software, cuda, full_run_only, lacks};

#[test]
fn firmware_for_arm() {
    // Flash loaders, which run in the memory of a microcontroller. There is no C library.
    let lines = "export OGRT_META_NAME=openocd\n\
                 cd contrib/loaders/flash/msp432\n\
                 cat > memcpy.c <<'END'\n\
                 void *memcpy(void *to, const void *from, unsigned size)\n\
                 {\n\
                 char *next = to;\n\
                 for (const char *byte = from; size > 0; size--) *next++ = *byte++;\n\
                 return to;\n\
                 }\n\
                 END\n\
                 cpu='-mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16'\n\
                 ogrt-cc arm-none-eabi-gcc $cpu -Os -fno-tree-loop-distribute-patterns -c memcpy.c\n\
                 make GCC='ogrt-cc arm-none-eabi-gcc' LDFLAGS='-nostdlib memcpy.o -Wl,--gc-sections' \
                 msp432e4x_algo.bin msp432p401x_algo.bin msp432p411x_algo.bin\n\
                 mkdir -p /opt/openocd\n\
                 cp *.bin *.out /opt/openocd\n\
                 sha256sum *.bin *.out\n";
    Software {
        name: "openocd",
        archive: Archive::Debian {
            package: "openocd",
            file: "openocd_0.12.0.orig.tar.bz2",
            sha256: "af254788be98861f2bd9103fe6e60a774ec96a8c374744eef9197f6043075afa",
        },
        tools: &["arm-none-eabi-gcc", "make"],
        lines: lines.into(),
        results: &["_algo.bin", "_algo.out"],
        results_min: 6,
        installs: &["msp432e4x_algo.out", "msp432p401x_algo.out", "msp432p411x_algo.out"],
        unmarked: &["a machine without an operating system"],
        ..Software::PLAIN
    }
    .try_out();
}

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

#[test]
fn kernel_module() {
    if !full_run_only() {
        return;
    }
    // The kernel is that of the installed headers, not the running one.
    let lines = "export OGRT_META_NAME=acpi-call\n\
                 KDIR=$(ls -d /lib/modules/*/build | tail -n 1)\n\
                 make KDIR=$KDIR CC=ogrt-cc LD=ogrt-ld\n\
                 readelf -p .modinfo acpi_call.ko\n\
                 mkdir -p /opt/acpi-call\n\
                 cp acpi_call.ko /opt/acpi-call\n";
    Software {
        name: "acpi-call",
        archive: Archive::Debian {
            package: "acpi-call",
            file: "acpi-call_1.2.2.orig.tar.gz",
            sha256: "8b1902a94395c2fa5a97f81c94868a9cbc46a48e12309ad01626439bde96f1d9",
        },
        tools: &["gcc", "make", "readelf", "/usr/lib/linux-kbuild-6.1/scripts/mod/modpost"],
        lines: lines.into(),
        results: &["license=", "vermagic=", "depends="],
        results_min: 3,
        installs: &["acpi_call.ko"],
        unmarked: &["an object for a later link"],
        ..Software::PLAIN
    }
    .try_out();
}

#[test]
fn static_shell_of_musl() {
    if !full_run_only() {
        return;
    }
    // Its tests know terminals that there are not here; what counts is that the same ones pass.
    let lines = "export OGRT_META_NAME=mksh\n\
                 CC='ogrt-cc musl-gcc' LDSTATIC=-static sh Build.sh -r > /dev/null 2>&1\n\
                 ./test.sh -v || true\n\
                 mkdir -p /opt/mksh/bin\n\
                 cp mksh /opt/mksh/bin\n";
    Software {
        name: "mksh",
        archive: Archive::Debian {
            package: "mksh",
            file: "mksh_59c.orig.tar.gz",
            sha256: "77ae1665a337f1c48c61d6b961db3e52119b38e58884d1c89684af31f87bc506",
        },
        tools: &["musl-gcc", "perl"],
        lines: lines.into(),
        results: &["pass ", "FAIL ", "Total"],
        results_min: 500,
        installs: &["bin/mksh"],
        ..Software::PLAIN
    }
    .try_out();
}

#[test]
fn static_tools_with_a_script_that_links() {
    if !full_run_only() {
        return;
    }
    let lines = "export OGRT_META_NAME=busybox KCONFIG_NOTIMESTAMP=1\n\
                 make allnoconfig HOSTCC=ogrt-cc > /dev/null\n\
                 for option in STATIC ASH SH_IS_ASH CAT ECHO SED GREP AWK SORT SHA256SUM HEAD; do\n\
                 sed -i \"s/^# CONFIG_$option is not set/CONFIG_$option=y/\" .config\n\
                 done\n\
                 yes '' | make oldconfig HOSTCC=ogrt-cc > /dev/null\n\
                 make busybox HOSTCC=ogrt-cc CC=ogrt-cc SKIP_STRIP=y\n\
                 ./busybox ash -c 'for i in 3 1 2; do echo line $i; done | ./busybox sort'\n\
                 ./busybox sha256sum LICENSE\n\
                 mkdir -p /opt/busybox/bin\n\
                 cp busybox /opt/busybox/bin\n";
    Software {
        name: "busybox",
        archive: Archive::Debian {
            package: "busybox",
            file: "busybox_1.35.0.orig.tar.bz2",
            sha256: "faeeb244c35a348a334f4a59e44626ee870fb07b6884d68c10ae8bc19f83a694",
        },
        tools: &["gcc", "make"],
        lines: lines.into(),
        results: &["line ", "LICENSE"],
        results_min: 4,
        installs: &["bin/busybox"],
        probes: &["tmp."],
        unmarked: &["an object for a later link"],
        ..Software::PLAIN
    }
    .try_out();
}

#[test]
fn cuda_with_separable_compilation() {
    if !full_run_only() {
        return;
    }
    let toolkit = match cuda() {
        Ok(folder) => folder,
        Err(why) => {
            lacks("nvcc", Some(&why));
            return;
        }
    };
    // The names of nvcc's temporary files, which hold its process id, are among the symbols.
    let lines = format!(
        "export PATH=$PATH:{toolkit}/bin OGRT_META_NAME=cuda\n\
         make NVCC='ogrt-cc nvcc' CUDA_LIB={toolkit}/lib program library.so\n\
         strip program library.so\n\
         ./program\n\
         mkdir -p /opt/cuda\n\
         cp program library.so /opt/cuda\n",
        toolkit = toolkit.display()
    );
    Software {
        name: "cuda",
        archive: Archive::Files(&[
            ("device.cu", "__device__ int twice(int value) { return 2 * value; }\n"),
            (
                "main.cu",
                "#include <cstdio>\n\
                 __device__ int twice(int value);\n\
                 __global__ void fill(int *to) { to[threadIdx.x] = twice(threadIdx.x); }\n\
                 int main() {\n\
                 int count = 0, host[4], *to;\n\
                 if (cudaGetDeviceCount(&count) != cudaSuccess) return puts(\"device: none\") < 0;\n\
                 cudaMalloc(&to, sizeof host);\n\
                 fill<<<1, 4>>>(to);\n\
                 cudaMemcpy(host, to, sizeof host, cudaMemcpyDeviceToHost);\n\
                 for (int value : host) printf(\"device: %d\\n\", value);\n\
                 }\n",
            ),
            (
                "Makefile",
                "FLAGS = -arch=sm_90 -O1 -L$(CUDA_LIB)\n\
                 program: main.o device.o\n\
                 \t$(NVCC) $(FLAGS) $^ -o $@\n\
                 library.so: main.o device.o\n\
                 \t$(NVCC) $(FLAGS) -shared $^ -o $@\n\
                 %.o: %.cu\n\
                 \t$(NVCC) $(FLAGS) -Xcompiler -fPIC -dc $< -o $@\n",
            ),
        ]),
        tools: &["g++", "make", "strip"],
        lines,
        results: &["device:"],
        installs: &["cuda/program", "cuda/library.so"],
        moves_outputs: true,
        linked_by: LinkedBy::OpaqueDriver,
        ..Software::PLAIN
    }
    .try_out();
}
