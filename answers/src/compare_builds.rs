//! Two build records, compared.
//!
//! Inputs are the same when their digests are. The compiler's temporary objects have another name
//! in each build, so they are compared by their order; of flags the order is not compared, since
//! build systems shuffle what commutes.

use crate::utc;
use ogrt_proto::{BuildJson, FileJson, ToolJson};
use serde::Serialize;
use std::collections::BTreeMap;

/// The differences between two builds. What is the same in both is left out.
#[derive(Debug, Default, Serialize)]
pub struct Difference {
    /// The signatures of the two builds.
    pub builds: [String; 2],
    /// The name, version, compiler, linker and so on that differ, each with both values.
    pub facts: BTreeMap<&'static str, [String; 2]>,
    /// Arguments of the driver, or of the linker where one of the builds has no driver.
    pub flags: ListDifference,
    /// Compilers that the inputs name, with the flags that they noted.
    pub compilers: ListDifference,
    /// Loaded environment modules.
    pub modules: ListDifference,
    /// Paths of inputs that only one build has.
    pub inputs: ListDifference,
    /// Inputs that both builds have, with different contents.
    pub changed_inputs: Vec<ChangedInput>,
    /// The host, user, directory, time and output that differ. They do not make the builds
    /// different.
    pub circumstances: BTreeMap<&'static str, [String; 2]>,
}

/// The elements that only one of two lists has.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct ListDifference {
    /// Elements of the first list alone.
    pub before: Vec<String>,
    /// Elements of the second list alone.
    pub after: Vec<String>,
}

/// An input that both builds have, with different contents.
#[derive(Debug, PartialEq, Serialize)]
pub struct ChangedInput {
    pub path: String,
    /// The digest in each build; empty where the file could not be read.
    pub sha256: [String; 2],
    /// The builds that the input came from; empty for both where they are the same.
    pub signatures: [Vec<String>; 2],
}

impl Difference {
    /// True where the builds are the same but for time and place.
    pub fn is_none(&self) -> bool {
        let lists = [&self.flags, &self.compilers, &self.modules, &self.inputs];
        self.facts.is_empty() && lists.iter().all(|list| list.is_none()) && self.changed_inputs.is_empty()
    }
}

impl ListDifference {
    /// True where both lists are the same.
    pub fn is_none(&self) -> bool {
        self.before.is_empty() && self.after.is_empty()
    }

    /// Compares two lists as bags: a text stands here as often as one list has it more than the
    /// other.
    fn of(before: Vec<String>, after: Vec<String>) -> ListDifference {
        let mut rest = after.clone();
        let gone = before.iter().filter(|text| !take(&mut rest, text)).cloned().collect();
        ListDifference { before: gone, after: rest }
    }
}

/// Removes `text` from the list once; false where it is not there.
fn take(list: &mut Vec<String>, text: &str) -> bool {
    let at = list.iter().position(|other| other == text);
    at.map(|at| list.remove(at)).is_some()
}

/// Compares two records.
pub fn compare(before: &BuildJson, after: &BuildJson) -> Difference {
    let mut difference =
        Difference { builds: [before.signature.clone(), after.signature.clone()], ..Difference::default() };
    let tool = |tool: &Option<ToolJson>| {
        tool.as_ref().map(|tool| format!("{} {}", tool.path, tool.version)).unwrap_or_default()
    };
    let both = |of: &dyn Fn(&BuildJson) -> String| [of(before), of(after)];
    let word = |text: &Option<String>| text.clone().unwrap_or_default();
    let facts: [(&'static str, [String; 2]); 13] = [
        ("name", both(&|build| word(&build.metadata.name))),
        ("version", both(&|build| word(&build.metadata.version))),
        ("version_suffix", both(&|build| word(&build.metadata.version_suffix))),
        ("toolchain", both(&|build| word(&build.metadata.toolchain))),
        ("package_manager", both(&|build| word(&build.metadata.package_manager))),
        ("package_id", both(&|build| word(&build.metadata.package_id))),
        ("compiler", both(&|build| word(&build.metadata.compiler))),
        ("driver", both(&|build| tool(&build.driver))),
        ("linker", both(&|build| tool(&build.linker))),
        ("git_commit", both(&|build| word(&build.git_commit))),
        ("machine", both(&|build| build.output.as_ref().and_then(|o| o.machine.clone()).unwrap_or_default())),
        ("kind", both(&|build| build.output.as_ref().map(|o| o.kind.clone()).unwrap_or_default())),
        (
            "extra",
            both(&|build| {
                build.extra.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
            }),
        ),
    ];
    difference.facts = facts.into_iter().filter(|(_, [before, after])| before != after).collect();
    let circumstances: [(&'static str, [String; 2]); 5] = [
        ("hostname", both(&|build| build.hostname.clone())),
        ("user", both(&|build| word(&build.username.clone().or(build.uid.map(|uid| uid.to_string()))))),
        ("working_directory", both(&|build| build.working_directory.clone())),
        ("time", both(&|build| utc::from_nanoseconds(build.time_ns))),
        ("output", both(&|build| build.output.as_ref().map(|o| o.path.clone()).unwrap_or_default())),
    ];
    difference.circumstances =
        circumstances.into_iter().filter(|(_, [before, after])| before != after).collect();
    difference.flags = if before.driver_command.is_empty() || after.driver_command.is_empty() {
        ListDifference::of(flags(&before.linker_command), flags(&after.linker_command))
    } else {
        ListDifference::of(flags(&before.driver_command), flags(&after.driver_command))
    };
    let compilers = |build: &BuildJson| build.compilers.iter().map(|one| one.producer.clone()).collect();
    difference.compilers = ListDifference::of(compilers(before), compilers(after));
    difference.modules = ListDifference::of(before.loaded_modules.clone(), after.loaded_modules.clone());
    compare_inputs(before, after, &mut difference);
    difference
}

/// The arguments without the output's path and the temporary files, whose names differ in every
/// call.
fn flags(command: &[String]) -> Vec<String> {
    let mut command = command.to_vec();
    if let Some(at) = command.iter().position(|word| word == "-o") {
        command.drain(at..(at + 2).min(command.len()));
    }
    command
        .iter()
        .skip(1)
        .filter(|word| !is_temporary(word.rsplit('=').next().unwrap_or(word)))
        .cloned()
        .collect()
}

/// True for the names that gcc (`/tmp/cc` and six characters) and clang give their temporary
/// objects.
fn is_temporary(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let stem = name.split('.').next().unwrap_or(name);
    let of_gcc = stem.len() == 8 && stem.starts_with("cc");
    let of_clang = path.starts_with("/tmp/") && name.contains('-') && name.ends_with(".o");
    path.starts_with('/') && (of_gcc || of_clang)
}

fn compare_inputs(before: &BuildJson, after: &BuildJson, difference: &mut Difference) {
    let named = |build: &BuildJson| {
        let mut temporary = 0;
        let name = |input: &FileJson| {
            if !is_temporary(&input.path) {
                return input.path.clone();
            }
            temporary += 1;
            format!("the compiler's temporary object {temporary}")
        };
        let names: Vec<String> = build.inputs.iter().map(name).collect();
        names.into_iter().zip(build.inputs.clone()).collect::<BTreeMap<String, FileJson>>()
    };
    let (mut old, new) = (named(before), named(after));
    for (path, now) in new {
        match old.remove(&path) {
            None => difference.inputs.after.push(path),
            Some(then) if then.sha256 == now.sha256 => {}
            Some(then) => difference.changed_inputs.push(ChangedInput {
                path,
                sha256: [then.sha256, now.sha256],
                signatures: if then.signatures == now.signatures {
                    Default::default()
                } else {
                    [then.signatures, now.signatures]
                },
            }),
        }
    }
    difference.inputs.before.extend(old.into_keys());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(flags: &[&str], inputs: &[(&str, &str)]) -> BuildJson {
        let file = |(path, digest): &(&str, &str)| FileJson {
            path: (*path).into(),
            sha256: (*digest).into(),
            ..FileJson::default()
        };
        BuildJson {
            driver_command: flags.iter().map(|flag| (*flag).into()).collect(),
            inputs: inputs.iter().map(file).collect(),
            ..BuildJson::default()
        }
    }

    #[test]
    fn flags_are_a_bag_and_temporary_objects_have_no_name() {
        let before = build(
            &["gcc", "-O2", "-g", "a.c"],
            &[("/tmp/ccAbCdEf.o", "1"), ("/l/a.a", "2"), ("/l/b.a", "3")],
        );
        let after = build(
            &["gcc", "-g", "-O3", "a.c"],
            &[("/tmp/ccXyZxYz.o", "1"), ("/l/a.a", "9"), ("/l/c.a", "3")],
        );
        let difference = compare(&before, &after);
        assert_eq!(
            difference.flags,
            ListDifference { before: vec!["-O2".into()], after: vec!["-O3".into()] }
        );
        assert_eq!(
            difference.inputs,
            ListDifference { before: vec!["/l/b.a".into()], after: vec!["/l/c.a".into()] }
        );
        assert_eq!(difference.changed_inputs.len(), 1);
        assert_eq!(difference.changed_inputs[0].path, "/l/a.a");
    }

    #[test]
    fn time_and_place_make_no_difference() {
        let before = build(&["gcc", "a.c"], &[("/tmp/ccAbCdEf.o", "1")]);
        let after =
            BuildJson { hostname: "other".into(), time_ns: 9, signature: "x".into(), ..before.clone() };
        let difference = compare(&before, &after);
        assert!(difference.is_none(), "{difference:?}");
        assert_eq!(difference.circumstances["hostname"], [String::new(), "other".into()]);
    }
}
