//! The emulation of a link (`-m`): the format and the machine that the linker was told.

use crate::elf_head::ElfIdentity;

/// Emulations, whether their files have 64 bits, and the machine (e_machine).
const KNOWN: [(&str, bool, u16); 16] = [
    ("elf_x86_64", true, 62),
    ("elf32_x86_64", false, 62),
    ("elf_i386", false, 3),
    ("aarch64linux", true, 183),
    ("aarch64linux32", false, 183),
    ("armelf_linux_eabi", false, 40),
    ("elf64lriscv", true, 243),
    ("elf32lriscv", false, 243),
    ("elf64lppc", true, 21),
    ("elf64ppc", true, 21),
    ("elf32ppclinux", false, 20),
    ("elf64_s390", true, 22),
    ("elf_s390", false, 22),
    ("elf64loongarch", true, 258),
    ("elf64_sparc", true, 43),
    ("elf64ltsmip", true, 8),
];

/// The linker was told to write a Windows program: `i386pe`, `i386pep`, `arm64pe`.
pub fn is_windows(emulation: &str) -> bool {
    emulation.ends_with("pe") || emulation.ends_with("pep")
}

/// The linker was told to write an image for a machine without an operating system: `armelf`,
/// `avr5`, `elf64_amdgpu`.
pub fn is_bare(emulation: &str) -> bool {
    ["avr", "msp430", "elf64_amdgpu", "pru"].iter().any(|start| emulation.starts_with(start))
        || ["armelf", "armelfb", "aarch64elf", "aarch64elfb"].contains(&emulation)
}

/// A file of this identity can be an input of the link. An emulation that is not known takes all.
pub fn takes(emulation: &str, identity: &ElfIdentity) -> bool {
    let known = KNOWN.iter().find(|(name, ..)| *name == emulation);
    known.is_none_or(|(_, is_64, machine)| (*is_64, *machine) == (identity.is_64, identity.machine))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_the_emulation() {
        assert!(is_windows("i386pep") && is_windows("arm64pe") && !is_windows("elf_x86_64"));
        assert!(is_bare("armelf") && is_bare("avr5") && !is_bare("armelf_linux_eabi"));
    }
}
