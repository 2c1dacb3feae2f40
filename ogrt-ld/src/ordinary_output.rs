//! Whether the output is an ordinary program or library, in which a note does no harm.
//!
//! Boot sectors, kernels and firmware are laid out byte by byte; a section that nobody has asked
//! for moves the others, or is flashed. Such a link runs with its line as it stood, and gets a
//! record without a note. A link of an operating system's programs may have a script or fixed
//! addresses as well: there the note goes in, and if the link fails, it counts for nothing (see
//! `attempt.rs`).

use crate::link_request::LinkRequest;
use ogrt_wrap::environment;
use ogrt_wrap::line::driver_line::target_triple;
use ogrt_wrap::line::emulation;
use ogrt_wrap::line::link_line::OUTPUT_IS_NOT_ELF;
use ogrt_wrap::line::linker_script::{LinkerScript, NoteRule};
use ogrt_wrap::tool::known_tools::cross_target;
use std::path::Path;

/// What is known of an output before the link.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// An ordinary program or library.
    Ordinary,
    /// One in which the note may not fit, and why.
    Doubtful(&'static str),
    /// An output that gets no note, and why.
    Special(&'static str),
}

/// The machines (e_machine) for which there is an operating system with ELF programs. All others
/// are those of microcontrollers, DSPs and GPUs.
const HOSTED_MACHINES: [u16; 29] = [
    2, 3, 4, 8, 15, 18, 20, 21, 22, 23, 40, 42, 43, 50, 62, 76, 92, 93, 94, 113, 164, 183, 189, 195, 243,
    251, 252, 258, // Alpha was never registered.
    0x9026,
];

/// The beginnings of names of machines in a target's name.
const MACHINES: [&str; 24] = [
    "arm",
    "thumb",
    "aarch64",
    "riscv",
    "i386",
    "i486",
    "i586",
    "i686",
    "x86_64",
    "m68k",
    "mips",
    "powerpc",
    "ppc",
    "sparc",
    "sh",
    "xtensa",
    "or1k",
    "nios2",
    "microblaze",
    "avr",
    "msp430",
    "arc",
    "rx",
    "loongarch",
];

/// Judges the output by the line, its scripts, and the names of driver and linker.
pub fn judge(request: &LinkRequest) -> Verdict {
    let line = &request.line;
    if let Some(why) = line.no_note {
        return Verdict::Special(why);
    }
    let emulation = line.emulation.as_deref().and_then(|name| name.to_str()).unwrap_or_default();
    if emulation::is_windows(emulation) {
        return Verdict::Special(OUTPUT_IS_NOT_ELF);
    }
    if emulation::is_bare(emulation) || is_for_bare_metal(request) {
        return Verdict::Special(BARE_METAL);
    }
    let script = LinkerScript::of(line);
    if let Some(why) = script.as_ref().and_then(|script| no_place_in(script, request.is_freestanding)) {
        return Verdict::Special(why);
    }
    if line.has_fixed_layout && request.is_freestanding {
        return Verdict::Special("an image with fixed addresses and without a C library's start file");
    }
    if script.is_some_and(|script| script.replaces_layout) {
        Verdict::Doubtful("a linker script lays the output out")
    } else if line.has_fixed_layout {
        Verdict::Doubtful("sections have fixed addresses")
    } else if line.has_fatal_warnings {
        Verdict::Doubtful("warnings are errors")
    } else {
        Verdict::Ordinary
    }
}

/// The reason for outputs of machines without an operating system.
pub const BARE_METAL: &str = "an image for a machine without an operating system";

/// Programs of an operating system exist for this machine.
pub fn has_programs(machine: u16) -> bool {
    HOSTED_MACHINES.contains(&machine)
}

fn no_place_in(script: &LinkerScript, is_freestanding: bool) -> Option<&'static str> {
    let lays_out_programs = script.has_interpreter && !is_freestanding;
    if script.output_format.as_ref().is_some_and(|format| !format.starts_with("elf")) {
        Some(OUTPUT_IS_NOT_ELF)
    } else if script.note == NoteRule::Discarded {
        Some("a linker script discards the note")
    } else if script.replaces_layout && script.note == NoteRule::Unnamed && !lays_out_programs {
        Some("a linker script has no place for the note")
    } else {
        None
    }
}

/// The driver or the linker is one for a machine without an operating system.
fn is_for_bare_metal(request: &LinkRequest) -> bool {
    let told = request.driver.as_ref().and_then(|(_, argv)| target_triple(argv));
    if told.is_some_and(|target| is_bare_target(&target.to_string_lossy())) {
        return true;
    }
    let gcc = environment::var("COLLECT_GCC").and_then(|path| Path::new(path).file_name()?.to_str());
    let driver = request.driver.as_ref().and_then(|(path, _)| path.file_name()?.to_str());
    if gcc.into_iter().chain(driver).filter_map(cross_target).any(is_bare_target) {
        return true;
    }
    // /opt/x/arm-none-eabi/bin/ld, /usr/bin/arm-none-eabi-ld.bfd
    let parts = request.tool.iter().filter_map(|part| part.to_str());
    parts.into_iter().any(|part| {
        is_bare_target(part) || part.rsplit_once("-ld").is_some_and(|(target, _)| is_bare_target(target))
    })
}

/// A target such as `arm-none-eabi`, `riscv64-unknown-elf`, `x86_64-unknown-none`.
fn is_bare_target(target: &str) -> bool {
    let parts: Vec<&str> = target.split('-').collect();
    let [machine, .., last] = parts.as_slice() else { return matches!(target, "avr" | "msp430") };
    let is_hosted =
        |part: &&str| ["linux", "android", "nto", "vxworks"].iter().any(|os| part.starts_with(os));
    MACHINES.iter().any(|known| machine.starts_with(known))
        && (["elf", "eabi", "eabihf", "none", "eabisim"].contains(last) || *machine == "avr")
        && !parts.iter().any(is_hosted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_without_an_operating_system_are_known_by_their_names() {
        for target in [
            "arm-none-eabi",
            "riscv64-unknown-elf",
            "thumbv7em-none-eabihf",
            "x86_64-unknown-none",
            "i686-elf",
            "avr",
            "avr-unknown-unknown",
        ] {
            assert!(is_bare_target(target), "{target}");
        }
        for target in [
            "x86_64-linux-gnu",
            "aarch64-none-linux-gnu",
            "arm-linux-gnueabihf",
            "arm-linux-androideabi",
            "my-elf",
            "x86_64-pc-freebsd13",
            "elf",
        ] {
            assert!(!is_bare_target(target), "{target}");
        }
    }

    #[test]
    fn a_script_has_a_place_or_none() {
        let script = |note, has_interpreter| LinkerScript {
            output_format: Some("elf64-x86-64".into()),
            replaces_layout: true,
            note,
            has_interpreter,
        };
        assert!(no_place_in(&script(NoteRule::Unnamed, false), false).is_some());
        assert!(no_place_in(&script(NoteRule::Unnamed, true), true).is_some());
        assert!(no_place_in(&script(NoteRule::Unnamed, true), false).is_none());
        assert!(no_place_in(&script(NoteRule::Kept, false), true).is_none());
        assert!(no_place_in(&script(NoteRule::Discarded, true), false).is_some());
    }
}
