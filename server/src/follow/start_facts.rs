//! The facts of a start that its end repeats, so that an end can be counted by itself: the program,
//! what that ran, its notes, the rank, the container, what the scheduler says of the job.
//!
//! The user's name is not among them: a server makes it of the uid, and a relay adds it.

use crate::{
    fields::{Fields, Value},
    start_digest,
};
use ogrt_answers::what_ran;
use ogrt_proto::field_numbers::process_info;
use prost::encoding::{WireType, encode_key, encode_varint};

/// Bytes of the facts of one process, at most. A fact that has no room is left out.
const BYTES_MAX: usize = 1024;

/// Longest name of what a process ran, and most arguments that are looked at for it.
const NAME_MAX: usize = 64;
const ARGUMENTS_MAX: usize = 64;

/// Bytes of what is kept of a start on disk, at most.
const KEPT_BYTES_MAX: usize = 8192;

/// Fields of a ProcessInfo that name its job and its machine.
const PLACE: [u32; 3] = [process_info::JOB_ID, process_info::CLUSTER, process_info::HOSTNAME];

/// Fields of a ProcessInfo that are facts, the more important first.
const FACTS: [u32; 23] = [
    process_info::PROGRAM_DIGEST,
    process_info::MODULES_DIGEST,
    process_info::WHAT_RAN,
    process_info::BINPATH,
    process_info::START_TIME_NS,
    process_info::PARENT_PID,
    process_info::IS_STATIC,
    process_info::IS_OUTERMOST,
    process_info::MPI_RANK,
    process_info::MPI_SIZE,
    process_info::JOB_STEP,
    process_info::ARRAY_INDEX,
    process_info::ARRAY_JOB,
    process_info::ACCOUNT,
    process_info::PARTITION,
    process_info::NODES,
    process_info::TASKS,
    process_info::CPUS_PER_TASK,
    process_info::BUILD_ID,
    process_info::SIGNATURE,
    process_info::CONTAINER,
    process_info::LAUNCH,
    process_info::NOTES,
];

/// The facts of a ProcessInfo, or of a part of one, as a ProcessInfo. `is_outermost`: no process
/// above it has told of itself.
pub fn facts(message: &[u8], is_outermost: bool) -> Box<[u8]> {
    let mut facts = select(message, BYTES_MAX, |number| FACTS.iter().position(|fact| *fact == number));
    add_digests(message, &mut facts);
    add_what_ran(message, &mut facts);
    if is_outermost {
        prost::encoding::bool::encode(process_info::IS_OUTERMOST, &true, &mut facts);
    }
    facts.into()
}

/// The facts with the names of the job and of the machine.
pub fn facts_and_place(message: &[u8]) -> Vec<u8> {
    let kept = || PLACE.iter().chain(&FACTS);
    let mut facts = select(message, KEPT_BYTES_MAX, |number| kept().position(|fact| *fact == number));
    add_digests(message, &mut facts);
    add_what_ran(message, &mut facts);
    facts
}

/// Adds the digests of a start that is whole, and has none yet: facts that were kept have them.
fn add_digests(message: &[u8], facts: &mut Vec<u8>) {
    let has = |wanted: &[u32]| {
        Fields::of(message).map_while(Result::ok).any(|(number, _)| wanted.contains(&number))
    };
    if has(&[process_info::PROGRAM_DIGEST, process_info::PART_COUNT]) {
        return;
    }
    add(process_info::PROGRAM_DIGEST, &start_digest::of_program(message), facts);
    if let Some(names) = start_digest::module_names(message) {
        add(process_info::MODULES_DIGEST, &start_digest::of_modules(&names), facts);
    }
}

fn add(number: u32, bytes: &[u8], facts: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, facts);
    encode_varint(bytes.len() as u64, facts);
    facts.extend_from_slice(bytes);
}

/// Adds the name of what ran, where the program's file has another one. Of the arguments it is all
/// that an end repeats. Facts that were kept have it.
fn add_what_ran(message: &[u8], facts: &mut Vec<u8>) {
    let (mut path, mut arguments) = ("", Vec::new());
    for (number, value) in Fields::of(message).map_while(Result::ok) {
        match (number, value) {
            (process_info::WHAT_RAN, _) => return,
            (process_info::BINPATH, Value::Bytes(bytes)) => path = str::from_utf8(bytes).unwrap_or_default(),
            // An argument that is no text is no name either.
            (process_info::ARGUMENTS, Value::Bytes(bytes)) if arguments.len() < ARGUMENTS_MAX => {
                arguments.push(str::from_utf8(bytes).unwrap_or_default());
            }
            _ => {}
        }
    }
    let name = what_ran::name(path, &arguments);
    if !name.is_empty() && name != what_ran::base_name(path) && name.len() <= NAME_MAX {
        add(process_info::WHAT_RAN, name.as_bytes(), facts);
    }
}

/// The fields that have a rank, in the order of their ranks.
fn select(message: &[u8], bytes_max: usize, rank: impl Fn(u32) -> Option<usize>) -> Vec<u8> {
    let mut found: Vec<(usize, u32, Value<'_>)> = Vec::new();
    for (number, value) in Fields::of(message).flatten() {
        found.extend(rank(number).map(|rank| (rank, number, value)));
    }
    found.sort_by_key(|(rank, _, _)| *rank);
    let mut out = Vec::new();
    for (_, number, value) in found {
        let before = out.len();
        match value {
            Value::Varint(value) => {
                encode_key(number, WireType::Varint, &mut out);
                encode_varint(value, &mut out);
            }
            Value::Bytes(bytes) => {
                encode_key(number, WireType::LengthDelimited, &mut out);
                encode_varint(bytes.len() as u64, &mut out);
                out.extend_from_slice(bytes);
            }
            Value::Fixed => {}
        }
        if out.len() > bytes_max {
            out.truncate(before);
        }
    }
    out
}

/// True of a field that an end may have of its start: a fact, or the name that a relay adds.
pub fn is_fact(number: u32) -> bool {
    number == process_info::USERNAME || FACTS.contains(&number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ogrt_proto::{Note, ProcessInfo};
    use prost::Message;

    #[test]
    fn an_end_repeats_the_program_and_not_what_it_was_called_with() {
        let note = |len: usize| Note { metadata: Some(vec![7; len].into()), ..Note::default() };
        let start = ProcessInfo {
            binpath: Some("/opt/simulate".into()),
            mpi_rank: Some(3),
            start_time_ns: Some(-5),
            notes: vec![note(10), note(2 * BYTES_MAX), note(20)],
            ..ProcessInfo::default()
        };
        let told = ProcessInfo {
            arguments: vec!["--secret".into()],
            working_directory: Some("/home/ann".into()),
            event_id: Some(vec![1; 16].into()),
            job_id: Some("7".into()),
            username: Some("root".into()),
            ..start.clone()
        };
        let told = told.encode_to_vec();
        let digest = |digest: start_digest::StartDigest| Some(digest.to_vec().into());
        let expected = ProcessInfo {
            notes: vec![note(10), note(20)],
            program_digest: digest(start_digest::of_program(&told)),
            modules_digest: digest(start_digest::of_modules(b"")),
            ..start
        };
        let repeated = ProcessInfo::decode(&*facts(&told, false)).unwrap();
        assert_eq!(repeated, expected);
        // What is kept on disk leads to the same.
        let kept = facts_and_place(&told);
        assert_eq!(ProcessInfo::decode(&*facts(&kept, false)).unwrap(), expected);
        // A part of a start says nothing of the whole.
        let part = ProcessInfo { part_count: Some(2), ..ProcessInfo::decode(&told[..]).unwrap() };
        let repeated = ProcessInfo::decode(&*facts(&part.encode_to_vec(), false)).unwrap();
        assert_eq!((repeated.program_digest, repeated.modules_digest), (None, None));
    }

    #[test]
    fn an_end_repeats_the_name_of_a_script_and_nothing_else_of_the_arguments() {
        let what_ran = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            let start = ProcessInfo {
                binpath: Some(words[0].to_owned().into()),
                arguments: words.iter().map(|word| (*word).to_owned().into()).collect(),
                ..ProcessInfo::default()
            };
            let told = facts(&start.encode_to_vec(), false);
            let decoded = |bytes: &[u8]| ProcessInfo::decode(bytes).unwrap();
            let kept = facts(&facts_and_place(&start.encode_to_vec()), false);
            assert_eq!(decoded(&kept), decoded(&told), "what is kept leads to it");
            let repeated = decoded(&told);
            assert!(repeated.arguments.is_empty());
            repeated.what_ran.map(|name| String::from_utf8(name.to_vec()).unwrap())
        };
        for (line, expected) in [
            ("/usr/bin/python3.11 /home/ann/fit.py --password x", Some("fit.py")),
            ("/sw/bin/gmx mdrun -deffnm x", Some("gmx mdrun")),
            ("/bin/sh -c exit", Some("sh -c")),
            ("/bin/sed s/a/b/", None),
            ("/usr/bin/python3", None),
        ] {
            assert_eq!(what_ran(line).as_deref(), expected, "{line}");
        }
        assert_eq!(what_ran(&format!("/bin/sh /tmp/{}", "x".repeat(65))), None, "too long");
    }

    #[test]
    fn the_facts_of_one_process_are_bounded() {
        let long = ProcessInfo {
            binpath: Some(vec![b'x'; 5000].into()),
            job_step: Some("2".into()),
            ..ProcessInfo::default()
        };
        let repeated = ProcessInfo::decode(&*facts(&long.encode_to_vec(), false)).unwrap();
        assert_eq!((repeated.binpath, repeated.job_step), (None, Some("2".into())));
    }
}
