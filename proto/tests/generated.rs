//! What is generated from `ogrt.proto` is committed; this holds each file against a fresh
//! generation.
//!
//! After a change to `ogrt.proto`: `cargo xtask generate`, which runs these tests with
//! OGRT_GENERATE=1.

use prost_build::Config;
use protox::prost_reflect::prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorSet};
use std::{env, fmt::Write, fs, path::Path};

const FIELD_NUMBERS_HEAD: &str = "\
//! The field numbers of `ogrt.proto`, for those who read or write a message's bytes by hand.
//!
//! A module for each message, and `message_type` with the types of frames. The file needs neither
//! `std` nor another file, so that libogrt.so can use it too.
//!
//! This file is @generated from `ogrt.proto` by `cargo xtask generate`.
";

#[test]
fn messages_are_those_of_ogrt_proto() {
    let fresh = tempfile::tempdir().unwrap();
    Config::new().bytes(["."]).out_dir(fresh.path()).compile_fds(descriptors()).unwrap();
    compare("src/messages.rs", &fs::read_to_string(fresh.path().join("ogrt.rs")).unwrap());
}

#[test]
fn field_numbers_are_those_of_ogrt_proto() {
    let mut generated = FIELD_NUMBERS_HEAD.to_owned();
    for file in &descriptors().file {
        for frames in file.enum_type.iter().filter(|kind| kind.name() == "MessageType") {
            generated += &frame_types(frames);
        }
        for message in &file.message_type {
            generated += &numbers_of(message);
        }
    }
    assert!(generated.contains("pub const BINPATH: u32 = 300;"), "{generated}");
    compare("src/field_numbers.rs", &generated);
}

fn descriptors() -> FileDescriptorSet {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    protox::compile([here.join("ogrt.proto")], [here]).unwrap()
}

/// Fails where the committed file is another; with OGRT_GENERATE=1 it is written first.
fn compare(path: &str, generated: &str) {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if env::var_os("OGRT_GENERATE").is_some() {
        fs::write(&committed, generated).unwrap();
    }
    let committed = fs::read_to_string(&committed).unwrap_or_default();
    assert!(committed == generated, "{path} is not what ogrt.proto says: run `cargo xtask generate`");
}

fn frame_types(types: &EnumDescriptorProto) -> String {
    let mut module = "\n/// Types of frames.\npub mod message_type {\n".to_owned();
    for value in &types.value {
        writeln!(module, "    /// `{}`", value.name()).unwrap();
        writeln!(module, "    pub const {}: u32 = {};", value.name(), value.number()).unwrap();
    }
    module + "}\n"
}

fn numbers_of(message: &DescriptorProto) -> String {
    let name = message.name();
    let mut module = format!("\n/// Fields of `{name}`.\npub mod {} {{\n", snake_case(name));
    for field in &message.field {
        let label = field.label().as_str_name().trim_start_matches("LABEL_").to_lowercase();
        let kind = match field.type_name() {
            "" => field.r#type().as_str_name().trim_start_matches("TYPE_").to_lowercase(),
            message => message.trim_start_matches(".ogrt.").to_owned(),
        };
        writeln!(module, "    /// `{label} {kind} {}`", field.name()).unwrap();
        writeln!(module, "    pub const {}: u32 = {};", field.name().to_uppercase(), field.number()).unwrap();
    }
    module + "}\n"
}

/// `ProcessInfo` to `process_info`.
fn snake_case(name: &str) -> String {
    let mut out = String::new();
    for (at, letter) in name.char_indices() {
        if at > 0 && letter.is_uppercase() {
            out.push('_');
        }
        out.extend(letter.to_lowercase());
    }
    out
}
