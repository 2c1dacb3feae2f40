//! Outputs that are not ordinary programs: firmware, kernel modules, programs of another machine,
//! and CUDA. What gets no note is the same byte by byte, and its record tells the reason.

use ogrt_builds_tests::{Archive, LinkedBy, Software, Wheel, full_run_only, lacks, wheels};

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

/// nvcc and what it links, as NVIDIA ships them on PyPI.
const CUDA: [Wheel; 4] = [
    ("nvidia-cuda-nvcc==13.0.88", "56fe502eb77625a12f25172caa3cdddb4e4c8ba2c8c17dba44b164761b380f03"),
    ("nvidia-cuda-runtime==13.0.96", "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548"),
    ("nvidia-cuda-crt==13.0.88", "2c8043c7c9e02492716426e9919fc78d2c5b3b2a7a768a88e952676b08aa55a4"),
    ("nvidia-nvvm==13.0.88", "c5f41ffeb6466944a026dfa5317d7d85355c119bbec279205d22f1869d1054e0"),
];

#[test]
fn cuda_with_separable_compilation() {
    if !full_run_only() {
        return;
    }
    let toolkit = match wheels("cuda-13.0", &CUDA) {
        Ok(folder) => folder.join("nvidia/cu13"),
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
