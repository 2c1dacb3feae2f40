//! The first interpreter of 2.7 and 3.6: a variable that no symbol names in a stripped library.
//!
//! The function `PyInterpreterState_Head` returns that variable and does nothing else, so that its
//! code tells the address. Where it has another form, every variable that points at an allocated
//! structure is looked at; that takes some milliseconds.

use super::{
    layout::Layout,
    mappings::Mappings,
    memory::{Obstacle, Reader, at, int, long},
};
use std::collections::BTreeSet;

/// Bytes of an object's variables in which a pointer to an interpreter is looked for, how many at
/// once, and how many pointers are followed.
const VARIABLES_BYTES_MAX: u64 = 4 << 20;
const CHUNK_BYTES: u64 = 64 << 10;
const POINTERS_MAX: usize = 16_384;

/// The first interpreters. There is one; several are found where variables are searched.
pub fn first_interpreters(
    reader: &Reader,
    mappings: &Mappings,
    layout: &Layout,
    function: u64,
    variables: &[(u64, u64)],
) -> Vec<u64> {
    let told = returned_variable(reader, function).and_then(|place| reader.word(place));
    match told {
        Ok(first) if first == 0 || has_thread(reader, layout, first) == Ok(true) => vec![first],
        _ => in_variables(reader, mappings, layout, variables),
    }
}

/// The address of the variable that a function returns, by its code.
fn returned_variable(reader: &Reader, function: u64) -> Result<u64, Obstacle> {
    let code: [u8; 16] = reader.array(function)?;
    x86_64_variable(&code, function).or_else(|_| aarch64_variable(&code, function))
}

/// `mov DISTANCE(%rip), %rax`, behind `endbr64` or `push %rbp; mov %rsp, %rbp` if they are there.
fn x86_64_variable(code: &[u8], function: u64) -> Result<u64, Obstacle> {
    let begin = [&[0xf3, 0x0f, 0x1e, 0xfa], &[0x55, 0x48, 0x89, 0xe5]];
    let skipped = if begin.iter().any(|begin| code.starts_with(*begin)) { 4 } else { 0 };
    if code.get(skipped..skipped + 3) != Some(&[0x48, 0x8b, 0x05]) {
        return Err(Obstacle::Nonsense);
    }
    let distance = int(code, skipped + 3)?.cast_signed();
    let next = at(function, skipped as u64 + 7)?;
    next.checked_add_signed(distance.into()).ok_or(Obstacle::Nonsense)
}

/// `adrp x0, PAGE; ldr x0, [x0, PLACE]`.
fn aarch64_variable(code: &[u8], function: u64) -> Result<u64, Obstacle> {
    let (page, load) = (int(code, 0)?, int(code, 4)?);
    if page & 0x9f00_001f != 0x9000_0000 || load & 0xffc0_03ff != 0xf940_0000 {
        return Err(Obstacle::Nonsense);
    }
    // 21 bits with a sign: the upper ones from bit 5 on, the lower two at bit 29.
    let pages = (((page << 8) & 0xffff_e000) | (((page >> 29) << 11) & 0x1800)).cast_signed() >> 11;
    let place = u64::from((load >> 10) & 0xfff) * 8;
    let page = (function & !0xfff).checked_add_signed(i64::from(pages) << 12).ok_or(Obstacle::Nonsense)?;
    at(page, place)
}

/// True for an interpreter with a thread that says that it belongs to it. One within another may
/// have none. An error for what is no interpreter.
pub fn has_thread(reader: &Reader, layout: &Layout, interpreter: u64) -> Result<bool, Obstacle> {
    let thread = reader.field(interpreter, layout.threads)?;
    if thread == 0 {
        return Ok(false);
    }
    let is_its_own = reader.field(thread, layout.owner)? == interpreter;
    if is_its_own { Ok(true) } else { Err(Obstacle::Nonsense) }
}

/// The interpreters that a variable of the object points at. 2.7 and 3.6 have such a variable,
/// which no symbol names in a stripped library.
fn in_variables(reader: &Reader, mappings: &Mappings, layout: &Layout, variables: &[(u64, u64)]) -> Vec<u64> {
    let mut found = BTreeSet::new();
    let mut pointers_left = POINTERS_MAX;
    let mut bytes_left = VARIABLES_BYTES_MAX;
    for &(start, end) in variables {
        let Some(mut place) = start.checked_next_multiple_of(8) else { continue };
        while place < end && bytes_left > 0 {
            let length = (end - place).min(CHUNK_BYTES).min(bytes_left);
            bytes_left -= length;
            // A part that is not there ends nothing: the variable may be in another.
            let words = reader.list(place, length as usize).unwrap_or_default();
            for pointer in words.chunks_exact(8).filter_map(|word| long(word, 0).ok()) {
                if !mappings.is_allocated(pointer) || found.contains(&pointer) {
                    continue;
                }
                let Some(left) = pointers_left.checked_sub(1) else { return found.into_iter().collect() };
                pointers_left = left;
                let is_it = looks_like_interpreter(reader, mappings, layout, pointer).unwrap_or(false)
                    && has_thread(reader, layout, pointer) == Ok(true);
                if is_it {
                    found.insert(pointer);
                }
            }
            place += length;
        }
    }
    found.into_iter().collect()
}

/// True, if threads and modules are pointers to allocated structures: one read for most of what is
/// no interpreter.
fn looks_like_interpreter(
    reader: &Reader,
    mappings: &Mappings,
    layout: &Layout,
    address: u64,
) -> Result<bool, Obstacle> {
    let head: [u8; 24] = reader.array(at(address, layout.next)?)?;
    Ok(mappings.is_allocated(long(&head, 8)?) && mappings.is_allocated(long(&head, 16)?))
}

#[cfg(test)]
mod tests {
    use super::{aarch64_variable, x86_64_variable};

    #[test]
    fn the_code_of_gcc_tells_the_variable() {
        let plain = [0x48, 0x8b, 0x05, 0xc9, 0x08, 0x0e, 0, 0xc3];
        assert_eq!(x86_64_variable(&plain, 0x11_6e00), Ok(0x1f_76d0));
        let marked = [0xf3, 0x0f, 0x1e, 0xfa, 0x48, 0x8b, 0x05, 0xf5, 0xff, 0xff, 0xff, 0xc3];
        assert_eq!(x86_64_variable(&marked, 0x1000), Ok(0x1000));
        // adrp x0, +0x12000; ldr x0, [x0, #0x6d0]
        let ahead = [0x9000_0080_u32 | 2 << 29, 0xf943_6800].map(u32::to_le_bytes).concat();
        assert_eq!(aarch64_variable(&ahead, 0x40_0010), Ok(0x41_26d0));
        // adrp x0, -0x1000
        let back = [0xf0ff_ffe0_u32, 0xf940_0000].map(u32::to_le_bytes).concat();
        assert_eq!(aarch64_variable(&back, 0x40_0010), Ok(0x3f_f000));
        assert!(x86_64_variable(&back, 0).is_err() && aarch64_variable(&plain, 0).is_err());
    }
}
