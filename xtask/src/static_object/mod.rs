//! The object with libogrt's code for static programs: PREFIX/lib/ogrt/static-MACHINE.o.
//!
//! cargo links `preload/` with the feature `static` into one piece, code and constants together,
//! which runs wherever it stands. Around it goes an object file with no more than a linker needs:
//!
//! | section | holds |
//! |---|---|
//! | `.text.ogrt` | the piece; its entry is its first byte |
//! | `.init_array.00000` | the address of the entry, so that libc calls it before other constructors |
//! | `.group` | both of them as one, so that a program that is given the object twice has it once |
//!
//! The object defines one local symbol, for profilers and debuggers. It wants one weak symbol,
//! libc's `__environ`. `ogrt-ld` adds the note, and what the other objects of the link say of
//! themselves (`wrap/src/note/static_code.rs`).

mod object_file;
mod piece;

use crate::workspace::Workspace;
use anyhow::{Context, Result, ensure};
use object_file::ObjectFile;
use piece::{PIECE_ALIGNMENT, Piece};
use std::{fs, path::PathBuf, process::Command};

/// The compiler's options for every machine.
const FLAGS: [&str; 3] = [
    // A jump by a table would have to be marked where indirect jumps are checked.
    "-Cjump-tables=no",
    // With fewer functions inlined, and with more, there is more code.
    "-Cllvm-args=-inline-threshold=25",
    // Else there is no shared object for musl's targets, and one is what the piece is taken from.
    "-Ctarget-feature=-crt-static",
];

/// A machine that static programs can be for.
#[derive(Debug)]
pub struct Machine {
    /// Its name in Rust's targets and in the object's name.
    pub name: &'static str,
    /// The compiler's options beside those for all.
    options: &'static [&'static str],
    /// ELF's number of it.
    number: u16,
    /// The first bytes of the piece, as `static_entry` in `preload/src/arch` has them.
    entry: &'static [u8],
    /// The relocations in the entry that lead to `__environ`: offset, type, addend.
    environ: &'static [(u64, u32, i64)],
    /// The relocation type of a whole address.
    address: u32,
}

/// All of them.
pub const MACHINES: [Machine; 2] = [
    Machine {
        name: "x86_64",
        options: &[],
        number: 62,
        // endbr64; mov rcx, [rip + 0]
        entry: &[0xF3, 0x0F, 0x1E, 0xFA, 0x48, 0x8B, 0x0D, 0, 0, 0, 0],
        // R_X86_64_REX_GOTPCRELX
        environ: &[(7, 42, -4)],
        // R_X86_64_64
        address: 1,
    },
    Machine {
        name: "aarch64",
        // Addresses by the distance from the instruction, not by pages: the piece may stand
        // anywhere.
        options: &["-Ccode-model=tiny"],
        number: 183,
        // bti c; adrp x3, 0; ldr x3, [x3]
        entry: &[0x5F, 0x24, 0x03, 0xD5, 0x03, 0, 0, 0x90, 0x63, 0, 0x40, 0xF9],
        // R_AARCH64_ADR_GOT_PAGE, R_AARCH64_LD64_GOT_LO12_NC
        environ: &[(4, 311, 0), (8, 312, 0)],
        // R_AARCH64_ABS64
        address: 257,
    },
];

impl Machine {
    /// The machine of a target such as `x86_64-unknown-linux-gnu`, if there is code for it.
    pub fn of_target(target: &str) -> Option<&'static Machine> {
        MACHINES.iter().find(|machine| target.split('-').next() == Some(machine.name))
    }

    /// The name of its object in the folder `lib/ogrt` of an installation.
    pub fn object_name(&self) -> String {
        format!("static-{}.o", self.name)
    }

    /// Builds the object for `target`, and returns its path. `linker` is a compiler driver for the
    /// target, where that is another machine than this one.
    pub fn build(
        &self,
        workspace: &Workspace,
        target: &str,
        linker: Option<&str>,
        run: impl FnOnce(&mut Command) -> Result<()>,
    ) -> Result<PathBuf> {
        let folder = workspace.target.join("static");
        let flags = FLAGS.iter().chain(self.options).map(|flag| format!("{flag:?}"));
        let flags = flags.collect::<Vec<_>>().join(",");
        let mut cargo =
            workspace.cargo(&["build", "--locked", "--profile", "static", "--features", "static"]);
        cargo
            .args(["--manifest-path", "preload/Cargo.toml", "--target", target, "--target-dir"])
            .arg(&folder);
        cargo.args(["--config", &format!("target.{target}.rustflags=[{flags}]")]);
        if let Some(linker) = linker {
            cargo.args(["--config", &format!("target.{target}.linker={linker:?}")]);
        }
        // They would take the place of ours.
        cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
        run(&mut cargo)?;
        let linked = folder.join(target).join("static/libogrt.so");
        let file = fs::read(&linked).with_context(|| linked.display().to_string())?;
        let piece = Piece::of(&file).with_context(|| linked.display().to_string())?;
        let path = folder.join(self.object_name());
        fs::write(&path, self.object_with(&piece)?).with_context(|| path.display().to_string())?;
        Ok(path)
    }

    /// The object around a piece.
    fn object_with(&self, piece: &Piece) -> Result<Vec<u8>> {
        let Piece { bytes: piece, code_len } = piece;
        ensure!(piece.starts_with(self.entry), "the code does not begin with its entry");
        const CODE: u32 = 2;
        const SYMBOLS: u32 = 6;
        const STRINGS: u32 = 7;
        // Symbols: none, the section of the code, its name for people, __environ.
        const SECTION_SYMBOL: u64 = 1;
        const NAME_SYMBOL: u32 = 2;
        const ENVIRON_SYMBOL: u64 = 3;
        let relocation = |offset: u64, symbol: u64, kind: u32, addend: i64| {
            [offset, symbol << 32 | u64::from(kind), addend as u64].map(u64::to_le_bytes).concat()
        };
        let environ: Vec<u8> = self
            .environ
            .iter()
            .flat_map(|&(offset, kind, addend)| relocation(offset, ENVIRON_SYMBOL, kind, addend))
            .collect();
        let symbol = |name: u32, info: u8, section: u16, len: usize| {
            let mut symbol = [0; 24];
            symbol[..4].copy_from_slice(&name.to_le_bytes());
            symbol[4] = info;
            symbol[6..8].copy_from_slice(&section.to_le_bytes());
            symbol[16..].copy_from_slice(&(len as u64).to_le_bytes());
            symbol
        };
        // Local section, local function, weak without a type.
        let symbols = [
            symbol(0, 0, 0, 0),
            symbol(0, 3, CODE as u16, 0),
            symbol(1, 2, CODE as u16, *code_len),
            symbol(1 + "ogrt_static".len() as u32 + 1, 0x20, 0, 0),
        ];
        // GRP_COMDAT and the sections that are in the group.
        let group = [1, CODE, CODE + 1, CODE + 2, CODE + 3].map(u32::to_le_bytes).concat();

        const GROUP_MEMBER: u64 = 0x200;
        let alloc_exec = 0x2 | 0x4 | GROUP_MEMBER;
        let alloc_write = 0x2 | 0x1 | GROUP_MEMBER;
        let relocates = 0x40 | GROUP_MEMBER;
        let mut file = ObjectFile::new(self.number);
        // The indices above are those of this order.
        file.section(".group", (17, 0), &group, [SYMBOLS, NAME_SYMBOL], (4, 4));
        file.section(".text.ogrt", (1, alloc_exec), piece, [0, 0], (PIECE_ALIGNMENT, 0));
        file.section(".rela.text.ogrt", (4, relocates), &environ, [SYMBOLS, CODE], (8, 24));
        file.section(".init_array.00000", (14, alloc_write), &[0; 8], [0, 0], (8, 8));
        let entry = relocation(0, SECTION_SYMBOL, self.address, 0);
        file.section(".rela.init_array.00000", (4, relocates), &entry, [SYMBOLS, CODE + 2], (8, 24));
        // The first symbol that is not local.
        let first = ENVIRON_SYMBOL as u32;
        file.section(".symtab", (2, 0), symbols.as_flattened(), [STRINGS, first], (8, 24));
        file.section(".strtab", (3, 0), b"\0ogrt_static\0__environ\0", [0, 0], (1, 0));
        Ok(file.finish())
    }
}

/// Builds the object for this machine; `None` where there is no code for it.
pub fn build(workspace: &Workspace, run: impl FnOnce(&mut Command) -> Result<()>) -> Result<Option<PathBuf>> {
    let machine = Machine::of_target(&workspace.host);
    machine.map(|machine| machine.build(workspace, &workspace.host, None, run)).transpose()
}
