//! The links that get code for static programs and those that do not, and what the object is like.

use object::read::elf::{ElfFile64, SectionHeader};
use object::{LittleEndian, Object, ObjectSection, ObjectSymbol, elf};
use ogrt_preload_tests::Receiver;
use ogrt_wrapper_tests::{
    Bench, carries_code, executable, has_tool, linkers, signatures_of, static_object, static_objects,
};
use std::path::Path;
use std::process::Command;

/// A bench whose links ask for the code, and the object; `None` where there is none for this
/// machine.
fn bench() -> Option<(Bench, &'static Path)> {
    let object = static_object().filter(|_| has_tool("gcc"))?;
    let mut bench = Bench::new().with_program();
    bench.set("OGRT_STATIC", "1");
    Some((bench, object))
}

/// Runs a program of the bench actively, and tells how many events came.
fn events_of(bench: &Bench, program: &str, more: &[(&str, &Path)]) -> usize {
    let socket = tempfile::tempdir().unwrap();
    let receiver = Receiver::unix(&socket.path().join("ogrt.sock"));
    let mut command = Command::new(bench.path(program));
    command.env("OGRT_ACTIVE", "1").env("OGRT_SERVER", &receiver.server).envs(more.iter().copied());
    assert_eq!(command.output().unwrap().status.code(), Some(3), "{program}");
    receiver.frames_after_a_while()
}

#[test]
fn only_plain_links_of_static_programs_get_the_code() {
    let Some((bench, object)) = bench() else { return };
    bench.write("start.c", "void _start(void) { for (;;) ; }\n");
    bench.write("mine.ld", "SECTIONS { .mine : { *(.mine) } } INSERT AFTER .data;\n");
    assert_eq!(bench.bare("ld --verbose -static | sed '1,/^=====/d; /^=====/,$d' > whole.ld").code, Some(0));
    let program = "main.c answer.c";
    for (line, count) in [
        (format!("-static {program}"), 1),
        (format!("-static-pie {program}"), 1),
        (format!("-static {program} -Wl,-z,noseparate-code"), 1),
        (format!("-static {program} -Wl,-T,mine.ld"), 1),
        (program.into(), 0),
        (format!("-no-pie {program}"), 0),
        (format!("-static-libgcc {program}"), 0),
        (format!("{program} -Wl,-Bstatic -lgcc -Wl,-Bdynamic"), 0),
        (format!("{program} -Wl,-static -lgcc -Wl,-Bdynamic"), 0),
        ("-shared -fPIC answer.c".into(), 0),
        ("-static -r main.c answer.c".into(), 0),
        ("-static -nostartfiles start.c".into(), 0),
        ("-static -nostdlib start.c".into(), 0),
        (format!("-static {program} -Wl,-T,whole.ld"), 0),
        (format!("-static {program} -Wl,--fatal-warnings"), 0),
        (format!("-static {program} -Wl,-Ttext-segment=0x10000000"), 0),
    ] {
        bench.ours_succeeds(&format!("ogrt-cc {line} -o out"));
        assert_eq!(carries_code(&bench.path("out"), object), count, "{line}");
        let runs = !line.contains("start.c") && !line.contains("-shared") && !line.contains("-r ");
        assert!(!runs || bench.bare("./out").code == Some(3), "{line}");
    }
    // Each program has to ask for it, and partial links are as they were.
    bench.ours_succeeds(&format!("OGRT_STATIC=0 ogrt-cc -static {program} -o out"));
    assert_eq!((carries_code(&bench.path("out"), object), signatures_of(&bench.path("out")).len()), (0, 1));
    bench.ours_succeeds("ogrt-cc -r main.c answer.c -o both.o && ogrt-cc -static both.o -o out");
    assert_eq!(carries_code(&bench.path("out"), object), 1);
}

#[test]
fn other_c_libraries_without_constructors_get_none() {
    let Some((bench, object)) = bench() else { return };
    for compiler in ["klcc", "diet gcc"].into_iter().filter(|c| has_tool(c.split(' ').next().unwrap())) {
        let line = format!("{compiler} -static main.c answer.c");
        if bench.bare(&format!("{line} -o bare")).code != Some(0) {
            println!("{compiler}: fails without us too");
            continue;
        }
        assert_eq!(bench.ours(&format!("ogrt-cc {line} -o out")).code, Some(0), "{compiler}");
        assert_eq!(carries_code(&bench.path("out"), object), 0, "{compiler}");
        assert_eq!(bench.bare("./out"), bench.bare("./bare"), "{compiler}");
    }
}

#[test]
fn a_link_that_fails_with_the_code_runs_again_without() {
    let Some((mut bench, object)) = bench() else { return };
    // It refuses our section, as a linker may that we do not know.
    let text = "#!/bin/sh\nfor word; do\n\
        case $word in /proc/self/fd/*|*ogrt-note-*) grep -q 'ogrt_static' \"$word\" && { echo 'cannot place section' >&2; exit 1; };; esac\n\
        done\necho linked >> runs\nexec /usr/bin/ld \"$@\"\n";
    executable(&bench, "bin/ld", text);
    let linker = bench.path("bin/ld");
    bench.set("OGRT_REAL_LD", linker);
    bench.ours_succeeds("ogrt-cc -static main.c answer.c -o out");
    assert_eq!(carries_code(&bench.path("out"), object), 0);
    assert_eq!(bench.bare("./out").code, Some(3));
    let record = bench.spooled().into_iter().next_back().expect("a record");
    assert_eq!(record.unmarked_reason(), "the link failed with the note");
    // An error of the project's own is told once.
    bench.set("OGRT_REAL_LD", "/usr/bin/ld");
    assert_eq!(bench.bare("gcc -c main.c").code, Some(0));
    let line = "-static main.o -o out";
    assert_eq!(bench.ours(&format!("ogrt-cc gcc {line}")), bench.bare(&format!("gcc {line}")));
}

#[test]
fn in_a_dynamic_program_the_object_is_silent() {
    let Some((bench, object)) = bench() else { return };
    let object = object.display();
    for (name, options) in [("dynamic", ""), ("fixed", "-no-pie")] {
        let line = format!("gcc {options} main.c answer.c {object} -z noexecstack -o {name}");
        assert_eq!(bench.bare(&line).code, Some(0), "{line}");
        assert_eq!(events_of(&bench, name, &[]), 0, "{name}");
    }
    let preloaded = [("LD_PRELOAD", ogrt_preload_tests::library())];
    assert_eq!(events_of(&bench, "dynamic", &preloaded), 1);
}

#[test]
fn a_program_with_two_objects_speaks_once() {
    let Some((bench, object)) = bench() else { return };
    let object_name = object.display();
    std::fs::copy(object, bench.path("copy.o")).unwrap();
    for linker in linkers() {
        let line = format!("-fuse-ld={linker} -static main.c answer.c {object_name} -z noexecstack");
        let twice = bench.bare(&format!("gcc {line} copy.o -o twice-{linker}"));
        assert_eq!(twice.code, Some(0), "{linker}: {twice:#?}");
        let ours = bench.ours(&format!("ogrt-cc gcc {line} -o ours-{linker}"));
        assert_eq!(ours.code, Some(0), "{linker}: {ours:#?}");
        for name in ["twice", "ours"].map(|name| format!("{name}-{linker}")) {
            assert_eq!(carries_code(&bench.path(&name), object), 1, "{name}");
            assert_eq!(events_of(&bench, &name, &[]), 1, "{name}");
        }
    }
}

#[test]
fn equal_links_stay_equal() {
    let Some((mut bench, object)) = bench() else { return };
    bench.set("SOURCE_DATE_EPOCH", "1700000000");
    // The names of temporary objects differ; they are stripped.
    for (name, directory) in [("one", "a"), ("two", "b")] {
        let line = format!("mkdir {directory} && cd {directory} && cp ../*.c . && gcc -c main.c answer.c");
        assert_eq!(bench.bare(&line).code, Some(0));
        bench.ours_succeeds(&format!("cd {directory} && ogrt-cc -static main.o answer.o -o ../{name}"));
    }
    let [one, two] = ["one", "two"].map(|name| std::fs::read(bench.path(name)).unwrap());
    assert_eq!(carries_code(&bench.path("one"), object), 1);
    assert!(one == two, "two links of the same objects differ");
}

#[test]
fn a_program_grows_by_less_than_16_kib() {
    let Some((bench, object)) = bench() else { return };
    let loaded_bytes = |name: &str| {
        let bytes = std::fs::read(bench.path(name)).unwrap();
        let file = ElfFile64::<LittleEndian>::parse(&*bytes).unwrap();
        let is_loaded = |section: &elf::SectionHeader64<LittleEndian>| {
            section.sh_flags(LittleEndian).0 & elf::SHF_ALLOC.0 != 0
                && section.sh_type(LittleEndian) != elf::SHT_NOTE
        };
        let sections = file.elf_section_table().iter();
        sections
            .filter(|section| is_loaded(section))
            .map(|section| section.sh_size(LittleEndian))
            .sum::<u64>()
    };
    for linker in linkers() {
        let line = format!("-fuse-ld={linker} -static main.c answer.c");
        bench.ours_succeeds(&format!("ogrt-cc gcc {line} -o ours"));
        bench.ours_succeeds(&format!("OGRT_STATIC=0 ogrt-cc gcc {line} -o marked"));
        let growth = loaded_bytes("ours") - loaded_bytes("marked");
        println!("{linker}: {growth} bytes more");
        // Besides the code a linker may add a few bytes to align what is behind it.
        assert!((1024..(16 << 10) + 64).contains(&growth), "{linker}: {growth}");
    }
    assert!(carries_code(&bench.path("ours"), object) == 1);
}

/// The object of each machine has one piece and nothing to write. It wants nothing but a weak
/// symbol, gives none away, and has no jump that a checked program (IBT, BTI) would refuse.
#[test]
fn the_object_is_one_piece_that_needs_nothing() {
    for (machine, path) in static_objects() {
        let bytes = std::fs::read(&path).unwrap();
        let file = ElfFile64::<LittleEndian>::parse(&*bytes).unwrap();
        let name =
            |section: &object::read::elf::ElfSection64<LittleEndian>| section.name().unwrap().to_owned();
        let allocated: Vec<String> = file
            .sections()
            .filter(|section| section.elf_section_header().sh_flags(LittleEndian).0 & elf::SHF_ALLOC.0 != 0)
            .map(|section| name(&section))
            .collect();
        assert_eq!(allocated, [".text.ogrt", ".init_array.00000"], "{}", machine.name);
        let code = file.section_by_name(".text.ogrt").unwrap();
        println!("{}: {} bytes", machine.name, code.size());
        assert!(code.size() < 16 << 10, "{}: {} bytes", machine.name, code.size());
        let wanted: Vec<_> = file.symbols().filter(|symbol| symbol.is_undefined()).collect();
        assert!(wanted.iter().all(|symbol| symbol.is_weak() && symbol.name() == Ok("__environ")));
        assert!(file.symbols().all(|symbol| symbol.is_local() || symbol.is_undefined()));
        let words = b"libogrt.so panicked";
        assert!(!bytes.windows(words.len()).any(|part| part == words), "{} can panic", machine.name);
        let (disassembler, indirect) = match machine.name {
            "x86_64" => ("objdump", &["jmp *", "call *", "notrack"][..]),
            _ => ("aarch64-linux-gnu-objdump", &["br\t", "blr\t", "braa\t"][..]),
        };
        if !has_tool(disassembler) {
            continue;
        }
        let symbol = file.symbols().find(|symbol| symbol.name() == Ok("ogrt_static")).unwrap();
        // What stands behind the code are constants.
        let end = format!("--stop-address={}", symbol.size());
        let listing =
            Command::new(disassembler).args(["-d", "--no-show-raw-insn", &end]).arg(&path).output().unwrap();
        let listing = String::from_utf8(listing.stdout).unwrap();
        assert!(listing.contains("ret"), "{listing}");
        let jumps = |line: &&str| {
            let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
            indirect.iter().any(|jump| line.contains(&jump.replace('\t', " ")))
        };
        // The entry's first instruction is the mark for checked jumps.
        assert!(listing.contains("endbr64") || listing.contains("bti") || listing.contains("hint"));
        let found: Vec<&str> = listing.lines().filter(jumps).collect();
        assert!(found.is_empty(), "{}: {found:#?}", machine.name);
    }
}

#[test]
fn a_cross_linked_program_tells_of_itself() {
    for (machine, object) in static_objects() {
        let (triple, qemu) = (format!("{}-linux-gnu", machine.name), format!("qemu-{}", machine.name));
        if machine.name == std::env::consts::ARCH || !has_tool(&format!("{triple}-gcc")) || !has_tool(&qemu) {
            continue;
        }
        let mut bench = Bench::new().with_program();
        bench.set("OGRT_STATIC", "1");
        for (name, options) in [
            ("static", "-static"),
            ("pie", "-static-pie"),
            ("gold", "-static -fuse-ld=gold"),
            ("protected", "-static -mbranch-protection=standard"),
        ] {
            bench.ours_succeeds(&format!("ogrt-cc {triple}-gcc {options} main.c answer.c -o {name}"));
            assert_eq!(carries_code(&bench.path(name), &object), 1, "{triple} {name}");
            let receiver = Receiver::unix(&bench.path(&format!("{name}.sock")));
            let output = Command::new(&qemu)
                .args(["-E", "OGRT_ACTIVE=1", "-E", &format!("OGRT_SERVER={}", receiver.server)])
                .arg(bench.path(name))
                .output()
                .unwrap();
            assert_eq!((output.status.code(), &*output.stdout), (Some(3), &b"answer 42\n"[..]), "{name}");
            let start = receiver.start();
            assert!(start.is_static(), "{name}: {start:?}");
            assert_eq!(start.notes[0].signature(), signatures_of(&bench.path(name))[0], "{name}");
        }
    }
}
