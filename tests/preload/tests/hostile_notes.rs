//! Notes and objects made to break a reader, loaded for real: the program runs as if we were not
//! there, and what is well formed beside them is still found.

use ogrt_note::{ByteOrder, OWNER, Signature, TYPE, encode, encoded_len};
use ogrt_preload_tests::*;
use ogrt_proto::ProcessInfo;
use std::{fs, process::Command};

const PROGRAM: &str = "int main(void) { return 5; }\n";

fn note(owner: &[u8], owner_len: u32, descriptor: &[u8], descriptor_len: u32, kind: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [owner_len, descriptor_len, kind] {
        bytes.extend(word.to_ne_bytes());
    }
    bytes.extend(owner);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.extend(descriptor);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn good(byte: u8) -> Vec<u8> {
    let mut bytes = vec![0; encoded_len(8)];
    encode(ByteOrder::NATIVE, Signature::from_bytes([byte; 16]), &[8; 8], &mut bytes).unwrap();
    bytes
}

/// Links a program with these bytes as its note section, runs it, and returns its start event.
fn run(folder: &Folder, name: &str, bytes: &[u8], receiver: &Receiver, count: usize) -> ProcessInfo {
    let object = folder.note_object(name, bytes);
    let program = folder.compile(Compiler::Gcc, name, PROGRAM, &[&object, "-Wl,--build-id=none"]);
    let output = tracked(&program, &receiver.server).output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{name}: {:?}", output.status);
    receiver.starts(count).remove(count - 1).start.unwrap()
}

#[test]
fn crafted_notes_harm_nobody() {
    if !has("gcc") {
        return;
    }
    let folder = Folder::new();
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    let mut bad_metadata_len = good(9);
    bad_metadata_len[28..32].copy_from_slice(&0xFFFF_FFF0u32.to_ne_bytes());
    let mut thousands = Vec::new();
    (0..3000).for_each(|_| thousands.extend(note(b"XY\0\0", 4, &[0; 4], 4, 1)));
    let mut behind_thousands = thousands.clone();
    behind_thousands.extend(good(7));
    let mut marks = Vec::new();
    (0..1000u32).for_each(|_| marks.extend(good(6)));
    let cases: [(&str, Vec<u8>, usize); 12] = [
        ("good", good(1), 1),
        ("huge_namesz", note(&OWNER, 0xFFFF_FFFF, &[0; 32], 32, TYPE), 0),
        ("huge_descsz", note(&OWNER, 12, &[0; 32], 0xFFFF_FFF8, TYPE), 0),
        ("both_huge", note(&OWNER, 0xFFFF_FFF0, &[0; 32], 0xFFFF_FFF0, TYPE), 0),
        ("overlapping", note(&OWNER, 12, &[2; 8], 4096, TYPE), 0),
        ("truncated", good(2)[..20].to_vec(), 0),
        ("header_only", note(b"", 0, &[], 0, TYPE), 0),
        ("two_bytes", vec![1, 2], 0),
        ("metadata_length", bad_metadata_len, 0),
        ("thousands_of_notes", behind_thousands, 1),
        ("good_before_bad", [good(3), note(&OWNER, 0xFFFF_FFFF, &[], 0, TYPE)].concat(), 1),
        // Sent are as many as fit into a datagram.
        ("thousand_marks", marks, 256),
    ];
    for (at, (name, bytes, found)) in cases.iter().enumerate() {
        let start = run(&folder, name, bytes, &receiver, at + 1);
        assert_eq!(start.notes.len(), *found, "{name}");
    }
}

#[test]
fn a_wrong_alignment_in_the_program_header_is_survived() {
    if !has("gcc") {
        return;
    }
    let folder = Folder::new();
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    let object = folder.note_object("mark", &good(4));
    let program = folder.compile(Compiler::Gcc, "program", PROGRAM, &[&object]);
    let original = fs::read(&program).unwrap();
    // p_align, p_filesz and p_vaddr of every PT_NOTE, replaced in turn.
    let cases = [
        (48, 0u64),
        (48, 8),
        (48, u64::MAX),
        (32, 0),
        (32, u64::MAX),
        (32, 1 << 40),
        (16, u64::MAX - 3),
        (16, 1 << 46),
    ];
    let mut seen = 0;
    for (at, (offset, value)) in cases.into_iter().enumerate() {
        let mut bytes = original.clone();
        let table = u64::from_le_bytes(bytes[32..40].try_into().unwrap()) as usize;
        let count = u16::from_le_bytes(bytes[56..58].try_into().unwrap()) as usize;
        let mut changed = 0;
        for header in (0..count).map(|index| table + index * 56) {
            if bytes[header..header + 4] == 4u32.to_le_bytes() {
                bytes[header + offset..header + offset + 8].copy_from_slice(&value.to_le_bytes());
                changed += 1;
            }
        }
        assert!(changed > 0);
        // The property note is read by the loader itself; only ours is of interest.
        let crafted = folder.join(&format!("crafted{at}"));
        let written = folder.join("written");
        fs::write(&written, bytes).unwrap();
        // By another process, because a fork beside us may hold what we wrote open, and such a file
        // does not run.
        let install = Command::new("install").args(["-m", "755"]).args([&written, &crafted]).status();
        assert!(install.unwrap().success());
        let bare = Command::new(&crafted).status().unwrap();
        let ours = tracked(&crafted, &receiver.server).status().unwrap();
        assert_eq!(ours, bare, "field {offset} set to {value:#x}");
        // Some of these the loader itself does not survive.
        if bare.code() == Some(5) {
            seen += 1;
            let start = receiver.starts(seen).remove(seen - 1).start.unwrap();
            assert!(offset != 48 || start.notes.len() == 1, "both alignments are tried: {value:#x}");
        }
    }
    assert!(seen >= 3, "{seen} of the crafted programs run at all");
}

#[test]
fn a_note_beyond_the_end_of_a_truncated_file_is_not_touched() {
    if !has("gcc") {
        return;
    }
    let folder = Folder::new();
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    // A library whose note starts on a page of its own, in a segment that nothing else uses.
    let object = folder.note_object("mark", &good(5));
    let script = folder.write(
        "script.ld",
        "PHDRS { text PT_LOAD FILEHDR PHDRS FLAGS(5); dynamic PT_DYNAMIC; stack PT_GNU_STACK FLAGS(6);\n\
         data PT_LOAD FLAGS(6); far PT_LOAD FLAGS(4); note PT_NOTE; }\n\
         SECTIONS { . = SIZEOF_HEADERS; .hash : { *(.hash .gnu.hash) } :text .dynsym : { *(.dynsym) } :text\n\
         .dynstr : { *(.dynstr) } :text .rela.dyn : { *(.rela*) } :text .text : { *(.text*) } :text\n\
         . = ALIGN(0x1000) ; .dynamic : { *(.dynamic) } :data :dynamic .got : { *(.got*) } :data .data : { *(.data*) } :data\n\
         . = ALIGN(0x4000) ; .note.ogrt : { *(.note.ogrt) } :far :note /DISCARD/ : { *(.comment .eh_frame* .note.gnu*) } }\n",
    );
    let library = folder.compile(
        Compiler::Gcc,
        "libshort.so",
        "int far(void) { return 1; }",
        &[
            "-shared",
            "-fPIC",
            "-nostdlib",
            "-fno-asynchronous-unwind-tables",
            &object,
            "-Wl,-z,norelro",
            "-Wl,--build-id=none",
            &format!("-Wl,-T,{}", script.display()),
        ],
    );
    let program = folder.compile(
        Compiler::Gcc,
        "program",
        "int far(void); int main(void) { return 4 + far(); }",
        &["-L.", "-lshort", "-Wl,-rpath,$ORIGIN"],
    );
    let run = |count: usize| {
        assert_eq!(Command::new(&program).status().unwrap().code(), Some(5), "without us");
        assert_eq!(tracked(&program, &receiver.server).status().unwrap().code(), Some(5), "with us");
        let start = receiver.starts(count).remove(count - 1).start.unwrap();
        let short = start.shared_objects.into_iter().find(|object| object.path().ends_with(b"libshort.so"));
        short.unwrap().notes.len()
    };
    assert_eq!(run(1), 1);
    // Cut before the note's page; section headers, at the end, go with it.
    let mut bytes = fs::read(&library).unwrap();
    let table = u64::from_le_bytes(bytes[32..40].try_into().unwrap()) as usize;
    let notes: Vec<usize> = (0..u16::from_le_bytes(bytes[56..58].try_into().unwrap()) as usize)
        .map(|index| table + index * 56)
        .filter(|header| bytes[*header..header + 4] == 4u32.to_le_bytes())
        .collect();
    let offset = u64::from_le_bytes(bytes[notes[0] + 8..notes[0] + 16].try_into().unwrap()) as usize;
    assert!(offset >= 0x2000, "{offset:#x}");
    bytes.truncate(offset & !0xFFF);
    fs::remove_file(&library).unwrap();
    fs::write(&library, bytes).unwrap();
    assert_eq!(run(2), 0);
}
