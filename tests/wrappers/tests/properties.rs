//! The note's object changes no property of the output: what its inputs say of themselves as a
//! whole is what the output says, with us and without.

use ogrt_wrapper_tests::{Bench, has_tool, signatures_of};

/// Builds the line bare and by us. Messages are the same, and so is what `readelf` shows of the
/// stack and of all GNU properties.
fn shows_the_same(bench: &Bench, compiler: &str, line: &str) -> String {
    let shown = "readelf -lW x | grep -o 'GNU_STACK.*RWE*'; \
                 readelf -nW x | grep -oiE '(x86|aarch64)[ _].*'";
    let bare = bench.bare(&format!("rm -f x; {compiler} {line} -o x; echo $?; {shown}"));
    let ours = bench.ours(&format!("rm -f x; ogrt-cc {compiler} {line} -o x; echo $?; {shown}"));
    assert!(bare.stdout.starts_with("0\n"), "{line}: {bare:?}");
    assert_eq!(ours.stdout, bare.stdout, "{compiler} {line}");
    assert_eq!(ours.stderr, bare.stderr, "{compiler} {line}");
    assert_eq!(signatures_of(&bench.path("x")).len(), 1, "{compiler} {line}");
    bare.stdout
}

/// An object with this `.note.gnu.property`, in the notation of the assembler.
fn object(bench: &Bench, name: &str, properties: &str, stack: &str) {
    let note = match properties {
        "" => String::new(),
        _ => format!(".section .note.gnu.property,\"a\"\n.p2align 3\n{properties}\n"),
    };
    bench.write(&format!("{name}.s"), &format!("{note}.text\n.globl {name}\n{name}: ret\n{stack}\n"));
    assert_eq!(bench.bare(&format!("gcc -c {name}.s")).code, Some(0), "{name}");
}

const STACK: &str = ".section .note.GNU-stack,\"\",@progbits";

fn note(kind: &str, value: &str) -> String {
    format!(".long 4,16,5\n.asciz \"GNU\"\n.long {kind},4,{value},0")
}

#[test]
fn x86_properties_of_every_rule_are_kept() {
    if !has_tool("gcc") || std::env::consts::ARCH != "x86_64" {
        return;
    }
    let bench = Bench::new();
    for (what, kind, value, shown) in [
        ("AND", "0xc0000002", "0xf", "LAM_U57"),
        ("AND of some", "0xc0000002", "0x2", "SHSTK"),
        ("OR", "0xc0008002", "0x2", "ISA needed"),
        ("OR_AND", "0xc0010002", "0x3", "ISA used"),
        ("OR_AND of features", "0xc0010001", "0x1", "feature used"),
    ] {
        object(&bench, "_start", &note(kind, value), STACK);
        object(&bench, "other", &note(kind, value), STACK);
        for objects in ["_start.o", "_start.o other.o"] {
            let seen = shows_the_same(&bench, "gcc", &format!("-nostdlib -static {objects}"));
            assert!(seen.contains(shown), "{what}: {seen}");
        }
        // One object without the property.
        object(&bench, "other", "", STACK);
        shows_the_same(&bench, "gcc", "-nostdlib -static _start.o other.o");
    }
}

#[test]
fn a_stack_note_is_neither_brought_nor_taken() {
    if !has_tool("gcc") {
        return;
    }
    let bench = Bench::new();
    object(&bench, "_start", "", "");
    object(&bench, "with", "", STACK);
    for linker in ["bfd", "gold", "lld", "mold"].into_iter().filter(|tool| has_tool(&format!("ld.{tool}"))) {
        for objects in ["_start.o", "_start.o with.o", "with.o _start.o", "_start.o -Wl,--fatal-warnings"] {
            let options = format!("-fuse-ld={linker} -nostdlib -static {objects}");
            shows_the_same(&bench, "gcc", &options);
        }
    }
}

#[test]
fn a_program_of_c_shows_what_it_would_show() {
    if !has_tool("gcc") {
        return;
    }
    let bench = Bench::new().with_program();
    for options in
        ["", "-fcf-protection=full", "-Wa,-mx86-used-note=yes", "-static", "-shared -fPIC", "-flto -O2"]
    {
        shows_the_same(&bench, "gcc", &format!("{options} main.c answer.c"));
    }
}

#[test]
fn pointer_authentication_of_aarch64_is_kept() {
    let compiler = "aarch64-linux-gnu-gcc";
    if !has_tool(compiler) || !has_tool("clang") || !has_tool("ld.lld") {
        return;
    }
    // Linkers demand that every object says the same of it.
    let bench = Bench::new();
    let pauth = ".long 4,24,5\n.asciz \"GNU\"\n.long 0xc0000001,16\n.quad 2,31";
    bench.write(
        "_start.s",
        &format!(
            ".section .note.gnu.property,\"a\"\n.p2align 3\n{pauth}\n.text\n.globl _start\n_start: ret\n{}\n",
            ".section .note.GNU-stack,\"\",%progbits"
        ),
    );
    let assembled = bench.bare("clang --target=aarch64-linux-gnu -c _start.s");
    assert_eq!(assembled.code, Some(0), "{assembled:?}");
    shows_the_same(&bench, "clang --target=aarch64-linux-gnu -fuse-ld=lld", "-nostdlib -static _start.o");
}
