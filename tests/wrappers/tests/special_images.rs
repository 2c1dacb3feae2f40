//! Outputs that are not ordinary programs: boot sectors, kernels, firmware, programs of other
//! systems. They are byte-identical with and without us, and their records say why there is no
//! note.

use ogrt_wrapper_tests::{Bench, executable, has_tool, signatures_of};

/// Runs the line bare and by us, where CC is the compiler. The file is equal in both, the outcome
/// too, and the record has a reason that contains `reason`.
fn is_untouched(bench: &Bench, compiler: &str, line: &str, file: &str, reason: &str) {
    let run = |line: String, ours: bool| {
        let outcome = if ours { bench.ours(&line) } else { bench.bare(&line) };
        let bytes = std::fs::read(bench.path(file)).unwrap_or_default();
        let _ = std::fs::remove_file(bench.path(file));
        (outcome, bytes)
    };
    let before = bench.spooled().len();
    let bare = run(line.replace("CC", compiler), false);
    assert_eq!(bare.0.code, Some(0), "{compiler} {line}: {:?}", bare.0);
    let ours = run(line.replace("CC", &format!("ogrt-cc {compiler}")), true);
    assert_eq!(ours.0, bare.0, "{compiler} {line}");
    assert!(ours.1 == bare.1, "{compiler} {line}: {} bytes, not {}", ours.1.len(), bare.1.len());
    let records = bench.spooled();
    assert_eq!(records.len(), before + 1, "{compiler} {line}");
    let record = records
        .iter()
        .find(|record| record.marked == Some(false) && record.unmarked_reason().contains(reason))
        .unwrap_or_else(|| panic!("{line}: {:?}", records.last().map(|record| record.unmarked_reason())));
    assert_eq!(record.signature().len(), 16);
    std::fs::remove_dir_all(bench.spool().path()).expect("the records of this line");
}

const NO_LIBC: &str = "-fno-pic -no-pie -nostdlib -static -Wl,--build-id=none";

fn kernel_bench() -> Bench {
    let bench = Bench::new();
    bench.write("k.c", "int x = 1; int _start(void) { return x; }\n");
    bench.write("boot.s", ".code16\n.globl _start\n_start: jmp _start\n.org 510\n.word 0xaa55\n");
    let discards = "/DISCARD/ : { *(.comment) *(.eh_frame*) *(.note.gnu*) }";
    let sections = format!(". = 0x7c00; .text : {{ *(.text*) }} .data : {{ *(.data*) }} {discards}");
    bench.write("kernel.ld", &format!("ENTRY(_start) SECTIONS {{ {sections} }}"));
    bench.write("binary.ld", &format!("OUTPUT_FORMAT(binary) ENTRY(_start) SECTIONS {{ {sections} }}"));
    bench.write("srec.ld", "OUTPUT_FORMAT(\"srec\")\n");
    bench.write("outer.ld", "ENTRY(_start)\nINCLUDE inner.ld\n");
    bench.write("inner.ld", &format!("SECTIONS {{ {sections} }}"));
    bench.write("discards.ld", "SECTIONS { .t : { *(.text*) } /DISCARD/ : { *(.note*) *(.comment) } }");
    bench.write(
        "phdrs.ld",
        &format!(
            "PHDRS {{ text PT_LOAD FLAGS(5); data PT_LOAD FLAGS(6); }} ENTRY(_start) \
             SECTIONS {{ . = 0x100000; .text : {{ *(.text*) }} :text .data : {{ *(.data*) }} :data {discards} }}"
        ),
    );
    bench
}

#[test]
fn images_with_a_script() {
    if !has_tool("gcc") {
        return;
    }
    let bench = kernel_bench();
    for script in ["kernel", "outer", "phdrs"] {
        let line = format!("CC {NO_LIBC} -T {script}.ld k.c -o k.elf");
        is_untouched(&bench, "gcc", &line, "k.elf", "has no place for the note");
    }
    is_untouched(
        &bench,
        "gcc",
        &format!("CC {NO_LIBC} -T discards.ld k.c -o k.elf"),
        "k.elf",
        "discards the note",
    );
    // A driver that cannot be led to us, and a library that becomes a boot loader.
    bench.write("fixed.specs", "*linker:\n/usr/bin/ld\n");
    let line = format!("CC -specs=fixed.specs {NO_LIBC} -T kernel.ld k.c -o k.elf");
    is_untouched(&bench, "gcc", &line, "k.elf", "has no place for the note");
    let line = "CC -fpic -nostdlib -shared -Wl,-Bsymbolic,--build-id=none -T kernel.ld k.c -o k.so";
    is_untouched(&bench, "gcc", line, "k.so", "has no place for the note");
}

#[test]
fn outputs_in_another_format() {
    if !has_tool("gcc") {
        return;
    }
    let bench = kernel_bench();
    for line in [
        format!("CC {NO_LIBC} -T binary.ld k.c -o k.bin"),
        // The format in a script that is an input.
        format!("CC {NO_LIBC} srec.ld k.c -o k.bin"),
        format!("CC {NO_LIBC} -Wl,--oformat=binary -Wl,-Ttext=0 k.c -o k.bin"),
    ] {
        is_untouched(&bench, "gcc", &line, "k.bin", "not an ELF file");
    }
}

#[test]
fn images_with_fixed_addresses() {
    if !has_tool("gcc") || !has_tool("objcopy") {
        return;
    }
    let bench = kernel_bench();
    let linkers = ["bfd", "gold", "lld"].into_iter().filter(|linker| has_tool(&format!("ld.{linker}")));
    for linker in linkers {
        for options in ["-Wl,-Ttext,0x7c00", "-Wl,-Ttext=0x7c00 -Wl,-N", "-Wl,--section-start=.text=0x7c00"] {
            let line = format!("CC -fuse-ld={linker} -m32 {NO_LIBC} {options} boot.s -o boot.elf");
            is_untouched(&bench, "gcc", &line, "boot.elf", "fixed addresses");
        }
    }
}

#[test]
fn partial_links_are_recorded() {
    if !has_tool("gcc") {
        return;
    }
    let bench = kernel_bench();
    assert_eq!(bench.bare("gcc -c k.c").code, Some(0));
    let before = bench.spooled().len();
    let outcome = bench.ours_as_linkers("ld -r k.o -o both.o");
    assert!(outcome.code == Some(0) && outcome.stderr.is_empty(), "{outcome:?}");
    let records = bench.spooled();
    assert_eq!(records.len(), before + 1);
    assert!(
        records[before].unmarked_reason().contains("later link"),
        "{}",
        records[before].unmarked_reason()
    );
}

const FLASH: &str = "MEMORY { FLASH (rx) : ORIGIN = 0x08000000, LENGTH = 64K\n\
    RAM (rwx) : ORIGIN = 0x20000000, LENGTH = 20K }\nENTRY(main)\n\
    SECTIONS { .text : { *(.text*) *(.rodata*) } >FLASH .data : { *(.data*) } >RAM AT>FLASH .bss : { *(.bss*) } >RAM }\n";

#[test]
fn firmware_for_arm() {
    if !has_tool("arm-none-eabi-gcc") {
        return;
    }
    let bench = Bench::new();
    bench.write("m.c", "int d = 5; int main(void) { return d; }\n");
    bench.write("flash.ld", FLASH);
    let of = "-mcpu=cortex-m4 -mthumb -nostdlib";
    let line = format!("CC {of} -Wl,-emain m.c -o m.elf");
    is_untouched(&bench, "arm-none-eabi-gcc", &line, "m.elf", "without an operating system");
    let line = format!("CC {of} -T flash.ld m.c -o m.elf");
    is_untouched(&bench, "arm-none-eabi-gcc", &line, "m.elf", "without an operating system");
    // The same under a name that tells nothing.
    let real = "#!/bin/sh\nexec arm-none-eabi-gcc \"$@\"\n";
    executable(&bench, "armcc", real);
    let line = format!("CC {of} -Wl,-emain m.c -o m.elf");
    is_untouched(&bench, "./armcc", &line, "m.elf", "without an operating system");
    if has_tool("clang") && has_tool("ld.lld") {
        let line = "CC --target=arm-none-eabi -mcpu=cortex-m4 -nostdlib -fuse-ld=lld -Wl,-emain m.c -o m.elf";
        is_untouched(&bench, "clang", line, "m.elf", "without an operating system");
    }
}

#[test]
fn firmware_for_avr() {
    if !has_tool("avr-gcc") {
        return;
    }
    let bench = Bench::new();
    bench.write("m.c", "int main(void) { return 0; }\n");
    is_untouched(
        &bench,
        "avr-gcc",
        "CC -mmcu=atmega328p m.c -o m.elf",
        "m.elf",
        "without an operating system",
    );
}

#[test]
fn a_program_for_windows() {
    let compiler = "x86_64-w64-mingw32-gcc";
    if !has_tool(compiler) || !has_tool("gcc") {
        return;
    }
    // The host has an unrelated ELF library of the same name in a directory that is searched.
    let bench = Bench::new();
    bench.write("m.c", "int foo(void); int main(void) { return foo(); }\n");
    bench.write("f.c", "__declspec(dllexport) int foo(void) { return 0; }\n");
    let prepared = "x86_64-w64-mingw32-gcc -shared f.c -o foo.dll -Wl,--out-implib,libfoo.dll.a \
                    && mkdir host && gcc -shared -fPIC -x c /dev/null -o host/libfoo.so";
    assert_eq!(bench.bare(prepared).code, Some(0));
    for line in ["CC m.c -L. -Lhost -lfoo -o m.exe", "CC m.c -Lhost -L. -lfoo -o m.exe"] {
        let sections = format!("{line} && x86_64-w64-mingw32-objdump -h m.exe | grep -oE ' [.][a-z_.]+'");
        let bare = bench.bare(&sections.replace("CC", compiler));
        let ours = bench.ours(&sections.replace("CC", &format!("ogrt-cc {compiler}")));
        assert_eq!((bare.code, &ours), (Some(0), &bare), "{line}");
    }
    let reasons: Vec<String> =
        bench.spooled().iter().map(|record| record.unmarked_reason().to_owned()).collect();
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert!(reasons.iter().all(|reason| reason.contains("format")), "{reasons:?}");
}

#[test]
fn a_program_with_a_script_of_its_own_is_marked() {
    if !has_tool("gcc") {
        return;
    }
    let bench = Bench::new().with_program();
    let script = "ld --verbose | sed '1,/^=====/d; /^=====/,$d' > program.ld";
    assert_eq!(bench.bare(script).code, Some(0));
    bench.write("inserted.ld", "SECTIONS { .mine : { *(.mine) } } INSERT AFTER .data;\n");
    bench.write(
        "notes.ld",
        "SECTIONS { . = 0x400000; .n : { *(.note.ogrt*) } .t : { *(.text*) } .d : { *(.data*) } }",
    );
    for line in [
        "main.c answer.c -T program.ld -no-pie -o program",
        "main.c answer.c -T inserted.ld -o program",
        "-nostdlib -static answer.c -Wl,-eanswer -T notes.ld -o program",
    ] {
        bench.ours_succeeds(&format!("ogrt-cc gcc {line}"));
        assert_eq!(signatures_of(&bench.path("program")).len(), 1, "{line}");
    }
    assert!(bench.spooled().iter().all(|record| record.marked()));
}

#[test]
fn webassembly() {
    if !has_tool("clang") || !has_tool("wasm-ld") {
        return;
    }
    let bench = Bench::new();
    bench.write("w.c", "int answer(void) { return 42; }\n");
    let target = "CC --target=wasm32 -nostdlib";
    let program = format!("{target} -Wl,--no-entry,--export-all w.c -o w.wasm");
    is_untouched(&bench, "clang", &program, "w.wasm", "another format than ELF");
    let by_object = format!("{target} -c w.c && {target} -Wl,--no-entry,--export=answer w.o -o w.wasm");
    is_untouched(&bench, "clang", &by_object, "w.wasm", "another format than ELF");
}
