//! Cross links: the note's object is like those of the target, and the program finds the note in
//! its memory under qemu.

use object::Endianness;
use object::read::elf::{FileHeader, ProgramHeader};
use ogrt_wrapper_tests::{Bench, READER, has_tool, signatures_of};

/// Debian's triple, qemu's name, `uname -m` as the record has it, and whether the byte order is
/// little.
const TARGETS: [(&str, &str, &str, bool); 5] = [
    ("aarch64-linux-gnu", "qemu-aarch64", "aarch64", true),
    ("riscv64-linux-gnu", "qemu-riscv64", "riscv64", true),
    ("powerpc64le-linux-gnu", "qemu-ppc64le", "ppc64", true),
    ("arm-linux-gnueabihf", "qemu-arm", "arm", true),
    ("s390x-linux-gnu", "qemu-s390x", "s390x", false),
];

#[test]
fn every_target_is_marked_and_runs() {
    for (triple, qemu, machine, is_little) in TARGETS {
        if !has_tool(&format!("{triple}-gcc")) || !has_tool(qemu) {
            continue;
        }
        let bench = Bench::new().with_program();
        bench.write("reader.c", READER);
        bench.write(
            "main.c",
            "#include <stdio.h>\nint answer(void); void print_signatures(void);\n\
             int main(void) { printf(\"answer %d\\n\", answer()); fflush(stdout); print_signatures(); return 3; }\n",
        );
        bench.ours_succeeds(&format!("ogrt-cc {triple}-gcc -fPIC -c main.c answer.c reader.c"));
        let modes = [
            ("PIE", "-pie"),
            ("no-PIE", "-no-pie"),
            ("static", "-static"),
            ("relro", "-Wl,-z,now"),
            ("gold", "-fuse-ld=gold"),
        ];
        for (mode, options) in modes {
            let case = format!("{triple} {mode}");
            let objects = "main.o answer.o reader.o";
            if bench.bare(&format!("{triple}-gcc {options} {objects} -o bare")).code != Some(0) {
                println!("{case:<34} fails without us too");
                continue;
            }
            let before = bench.spooled().len();
            bench.ours_succeeds(&format!("ogrt-cc {triple}-gcc {options} {objects} -o program"));
            let marks = signatures_of(&bench.path("program"));
            assert_eq!(marks.len(), 1, "{case}");
            let hex: String = marks[0].iter().map(|byte| format!("{byte:02x}")).collect();
            let run = bench.bare(&format!("{qemu} -L /usr/{triple} ./program"));
            assert_eq!(run.stdout, format!("answer 42\n{hex}\n"), "{case}: {run:?}");
            assert_eq!(headers(&bench, "program"), headers(&bench, "bare"), "{case}: the ELF header");
            let records = bench.spooled();
            assert_eq!(records.len(), before + 1, "{case}");
            let record = records.iter().find(|record| record.signature() == marks[0]).expect("a record");
            assert_eq!(record.output.as_ref().expect("an output").machine(), machine, "{case}");
            assert!(record.inputs.iter().all(|input| input.sha256().len() == 32), "{case}");
            let linker = record.linker.as_ref().expect("a linker").path();
            let linker = String::from_utf8_lossy(linker).into_owned();
            assert!(linker.contains(triple), "{case}: {linker}");
            assert_eq!(headers(&bench, "program").is_little, is_little, "{case}");
            println!("{case:<34} marked, runs under {qemu}");
        }
    }
}

/// What must be equal in the headers of two ELF files.
#[derive(Debug, PartialEq, Eq)]
struct Headers {
    is_64: bool,
    is_little: bool,
    machine: u16,
    flags: u32,
    os_abi: u8,
    file_type: u16,
    /// The types and flags of PT_GNU_STACK, PT_GNU_RELRO, PT_INTERP.
    segments: Vec<(u32, u32)>,
}

fn headers(bench: &Bench, name: &str) -> Headers {
    let bytes = std::fs::read(bench.path(name)).expect("a program");
    match object::FileKind::parse(&*bytes).expect("an ELF file") {
        object::FileKind::Elf32 => header_of::<object::elf::FileHeader32<Endianness>>(&bytes),
        _ => header_of::<object::elf::FileHeader64<Endianness>>(&bytes),
    }
}

fn header_of<Elf: FileHeader<Endian = Endianness>>(bytes: &[u8]) -> Headers {
    let header = Elf::parse(bytes).expect("an ELF header");
    let endian = header.endian().expect("an order");
    let wanted = [object::elf::PT_GNU_STACK, object::elf::PT_GNU_RELRO, object::elf::PT_INTERP];
    let segments = header.program_headers(endian, bytes).expect("program headers").iter();
    Headers {
        is_64: header.is_type_64(),
        is_little: endian == Endianness::Little,
        machine: header.e_machine(endian).0,
        flags: header.e_flags(endian).0,
        os_abi: header.e_ident().os_abi.0,
        file_type: header.e_type(endian).0,
        segments: segments
            .filter(|segment| wanted.contains(&segment.p_type(endian)))
            .map(|segment| (segment.p_type(endian).0, segment.p_flags(endian).0))
            .collect(),
    }
}

#[test]
fn branch_protection_of_aarch64_is_kept() {
    let triple = "aarch64-linux-gnu";
    if !has_tool(&format!("{triple}-gcc")) {
        return;
    }
    // All objects have BTI and PAC, so an object without the property would take it away.
    let bench = Bench::new();
    bench.write("start.c", "void _start(void) { for (;;) ; }\n");
    for linker in ["bfd", "lld"] {
        let compiler = match linker {
            "bfd" => format!("{triple}-gcc"),
            _ if has_tool("clang") && has_tool("ld.lld") => format!("clang --target={triple} -fuse-ld=lld"),
            _ => continue,
        };
        let line = "-mbranch-protection=standard -nostdlib -static start.c";
        assert_eq!(bench.bare(&format!("{compiler} {line} -o bare")).code, Some(0), "{linker}");
        bench.ours_succeeds(&format!("ogrt-cc {compiler} {line} -o ours"));
        let property = |name: &str| ogrt_wrapper_tests::protections(&bench.path(name)).property;
        assert!(property("bare").is_some(), "{linker}: the bare program has the property");
        assert_eq!(property("ours"), property("bare"), "{linker}");
        assert_eq!(signatures_of(&bench.path("ours")).len(), 1, "{linker}");
    }
}
