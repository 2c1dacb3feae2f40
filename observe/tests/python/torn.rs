//! Readings between which memory is given to something else, at every moment that there is.
//!
//! In recorded memory a module is deleted, and its text becomes another one. Both happen before any
//! read that one can choose, the text never before the deletion. Then both come back, so that the
//! table is the same again.

use crate::pieces::Pieces;
use ogrt_observe::python::{Mappings, read_pythons};
use std::{fs, path::Path};

/// The module that is deleted, and the text that its memory becomes.
const NAME: &[u8] = b"numpy";
const OTHER: &[u8] = b"wrong";

/// The size of an object's head in all records; the hash of a text stands eight bytes behind it.
const HASH: u64 = 16 + 8;

#[test]
fn a_text_that_was_freed_is_never_a_name() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/recorded");
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let record = fs::read(&path).unwrap();
        let (maps, memory) = Pieces::take(&record);
        let mappings = Mappings::parse(maps);
        let names = |record: &[u8]| {
            let memory = Pieces::take(record).1;
            let read = read_pythons(&memory, &mappings, None).pop();
            (read.map(|python| python.modules).unwrap_or_default(), memory.reads.get())
        };
        if names(&record).0.is_empty() {
            // One whose symbols are in its file.
            continue;
        }
        let characters = memory.pieces.iter().find_map(|piece| {
            let place = piece.bytes.windows(NAME.len()).position(|window| window == NAME)?;
            Some(piece.address + place as u64)
        });
        let characters = characters.unwrap();
        // Its object begins before it, and an entry of the table points at that.
        let begins = [36, 40, 48].map(|begin| characters - begin);
        let (entry, text) =
            begins.iter().find_map(|begin| Some((place_of(&memory, *begin)?, *begin))).unwrap();
        let reads = names(&record).1;
        let (mut with, mut without) = (0, 0);
        for deleted in 0..=reads {
            for reused in deleted..=reads {
                let changes = [
                    piece(entry, deleted, &[0; 16]),
                    piece(text + HASH, reused, &7_u64.to_le_bytes()),
                    piece(characters, reused, OTHER),
                ];
                let (read, _) = names(&[&record, &changes.concat()[..]].concat());
                assert!(!read.contains("wrong"), "{}: {deleted} {reused}", path.display());
                let has_it = read.contains("numpy");
                with += u32::from(has_it);
                without += u32::from(!has_it);
            }
        }
        // Back again, one to twelve reads later, without a trace in the dictionary's own numbers.
        let bytes = |place: u64, length: usize| {
            let found = memory.pieces.iter().find_map(|piece| {
                let begin = usize::try_from(place.checked_sub(piece.address)?).ok()?;
                piece.bytes.get(begin..)?.get(..length)
            });
            found.unwrap().to_vec()
        };
        for moment in 0..reads {
            for back in moment + 1..moment + 13 {
                let changes = [
                    piece(entry, moment, &[0; 16]),
                    piece(text + HASH, moment, &7_u64.to_le_bytes()),
                    piece(characters, moment, OTHER),
                    piece(entry, back, &bytes(entry, 16)),
                    piece(text + HASH, back, &bytes(text + HASH, 8)),
                    piece(characters, back, NAME),
                ];
                let (read, _) = names(&[&record, &changes.concat()[..]].concat());
                assert!(!read.contains("wrong"), "{}: {moment} {back}", path.display());
                with += u32::from(read.contains("numpy"));
            }
        }
        println!("{}: {with} readings with the module, {without} without", path.display());
        assert!(with > 0 && without > 0);
    }
}

/// The place of a pointer in the recorded memory.
fn place_of(memory: &Pieces, pointer: u64) -> Option<u64> {
    memory.pieces.iter().find_map(|piece| {
        let index = piece.bytes.chunks_exact(8).position(|word| word == pointer.to_le_bytes())?;
        Some(piece.address + 8 * index as u64)
    })
}

fn piece(address: u64, since: u32, bytes: &[u8]) -> Vec<u8> {
    let (since, length) = (u16::try_from(since).unwrap(), u16::try_from(bytes.len()).unwrap());
    [&address.to_le_bytes(), &since.to_le_bytes()[..], &length.to_le_bytes(), bytes].concat()
}
