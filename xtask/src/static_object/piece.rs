//! The code for static programs as it is taken out of the file that cargo has linked.

use anyhow::{Context, Result, bail, ensure};

/// The piece's alignment in a program, and largest of what is in it.
pub const PIECE_ALIGNMENT: usize = 16;
/// Bytes of a file's header, and of a section's.
const HEADER_LEN: usize = 64;
/// SHT_RELA.
const RELA: usize = 4;
/// SHF_WRITE.
const WRITABLE: usize = 1;

/// What the code is: instructions, and constants behind them.
pub struct Piece {
    /// All of it.
    pub bytes: Vec<u8>,
    /// Bytes of the instructions.
    pub code_len: usize,
}

impl Piece {
    /// Takes it out of the file that cargo has linked. It must be all that the code needs.
    pub fn of(file: &[u8]) -> Result<Piece> {
        let number = |at: usize, len: usize| -> Result<usize> {
            let bytes = file.get(at..at + len).context("the file is cut short")?;
            Ok(bytes.iter().rev().fold(0, |value, byte| value << 8 | usize::from(*byte)))
        };
        let (table, count, names) = (number(0x28, 8)?, number(0x3C, 2)?, number(0x3E, 2)?);
        let names_at = number(table + HEADER_LEN * names + 24, 8)?;
        let [mut code, mut constants] = [None; 2];
        let (mut got, mut slots) = ((0, 0), Vec::new());
        for header in (0..count).map(|index| table + HEADER_LEN * index) {
            let name = file.get(names_at + number(header, 4)?..).context("a section without a name")?;
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            let [kind, flags, address] =
                [number(header + 4, 4)?, number(header + 8, 8)?, number(header + 16, 8)?];
            let [offset, len, alignment] =
                [number(header + 24, 8)?, number(header + 32, 8)?, number(header + 48, 8)?];
            let bytes = || file.get(offset..offset + len).context("the file is cut short");
            // The linker's own, without an entry of ours.
            let is_empty = match name {
                b".dynamic" => true,
                b".got.plt" => len <= 24,
                _ => len == 0,
            };
            match name {
                b".ogrt.code" | b".ogrt.constants" => {
                    ensure!(alignment <= PIECE_ALIGNMENT, "the code wants an alignment of {alignment}");
                    *(if name == b".ogrt.code" { &mut code } else { &mut constants }) =
                        Some((address, bytes()?));
                }
                b".got" => got = (address, address + len),
                b".rela.dyn" => {
                    for entry in bytes()?.chunks_exact(24) {
                        let word = |at: usize| {
                            entry[at..at + 8].iter().rev().fold(0, |v, b| v << 8 | usize::from(*b))
                        };
                        slots.push((word(0), word(16)));
                    }
                }
                _ if (kind == RELA || flags & WRITABLE != 0) && !is_empty => bail!(
                    "the code has an address in its data, or data to write: section {}",
                    String::from_utf8_lossy(name)
                ),
                _ => {}
            }
        }
        let is_in_got = |(slot, _): &(usize, usize)| (got.0..got.1).contains(slot);
        ensure!(slots.iter().all(is_in_got), "the code has an address in its data: {slots:x?}");
        let (start, code) = code.context("there is no section .ogrt.code")?;
        let mut bytes = code.to_vec();
        if let Some((address, constants)) = constants {
            let at = address
                .checked_sub(start)
                .filter(|at| *at >= code.len() && *at < code.len() + PIECE_ALIGNMENT);
            bytes.resize(at.context("the constants are not right behind the code")?, 0);
            bytes.extend(constants);
        }
        for (slot, target) in slots {
            call_directly(&mut bytes[..code.len()], slot.wrapping_sub(start), target.wrapping_sub(start))?;
        }
        Ok(Piece { bytes, code_len: code.len() })
    }
}

/// Calls and jumps by a slot of the GOT, which rustc makes of calls to memcpy and its like, go
/// straight to their target: what a linker does for compilers that allow it (x86-64 psABI, B.2).
fn call_directly(code: &mut [u8], slot: usize, target: usize) -> Result<()> {
    const LEN: usize = 6;
    let mut count = 0;
    for at in 0..code.len().saturating_sub(LEN - 1) {
        let next = at + LEN;
        let is_call = match code[at..at + 2] {
            [0xFF, 0x15] => true,
            [0xFF, 0x25] => false,
            _ => continue,
        };
        let distance = |to: usize| (to.wrapping_sub(next) as u32).to_le_bytes();
        if code[at + 2..next] != distance(slot) {
            continue;
        }
        // addr32 call; or jmp and a nop.
        if is_call {
            code[at..at + 2].copy_from_slice(&[0x67, 0xE8]);
            code[at + 2..next].copy_from_slice(&distance(target));
        } else {
            code[at] = 0xE9;
            code[at + 1..at + 5].copy_from_slice(&(target.wrapping_sub(at + 5) as u32).to_le_bytes());
            code[at + 5] = 0x90;
        }
        count += 1;
    }
    ensure!(count > 0, "nobody calls by the slot {slot:x} of the GOT");
    Ok(())
}
