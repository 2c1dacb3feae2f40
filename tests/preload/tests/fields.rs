//! The field numbers written by hand in `preload/src/fields.rs`, held against `proto/ogrt.proto`.

use std::{collections::BTreeMap, fs, path::Path};

#[test]
fn every_number_is_that_of_ogrt_proto() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let files = protox::compile([root.join("proto/ogrt.proto")], [root.join("proto")]).unwrap();
    let mut expected = BTreeMap::new();
    for file in &files.file {
        for message in &file.message_type {
            for field in &message.field {
                let name = format!("{}_{}", screaming(message.name()), field.name().to_uppercase());
                expected.insert(name, field.number());
            }
        }
        for value in
            file.enum_type.iter().filter(|kind| kind.name() == "MessageType").flat_map(|kind| &kind.value)
        {
            expected.insert(format!("FRAME_{}", value.name()), value.number());
        }
    }
    let source = fs::read_to_string(root.join("preload/src/fields.rs")).unwrap();
    let constants: Vec<(&str, i32)> = source
        .lines()
        .filter_map(|line| line.strip_prefix("pub const ")?.strip_suffix(';')?.split_once(": u32 = "))
        .map(|(name, number)| (name, number.parse().unwrap()))
        .collect();
    assert!(constants.len() > 40, "{} constants were read", constants.len());
    for (name, number) in constants {
        assert_eq!(expected.get(name), Some(&number), "{name}");
    }
}

/// `ProcessInfo` to `PROCESS_INFO`.
fn screaming(name: &str) -> String {
    let mut out = String::new();
    for (at, letter) in name.chars().enumerate() {
        if at > 0 && letter.is_uppercase() {
            out.push('_');
        }
        out.extend(letter.to_uppercase());
    }
    out
}
