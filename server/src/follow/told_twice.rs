//! Starts that two tellers tell of one exec: the process itself, and ogrt-observe.
//!
//! A static program that was linked with OGRT_STATIC=1 tells of itself, and ogrt-observe tells of
//! each static program. Both name the process, by the kernel's number for it, and the program, by
//! its build-id or note. So the first of one teller waits a moment for the first of the other, and
//! the later one is left out. A process that runs the same program again has two of each.

use super::process_key::ProcessKey;
use crate::{
    bounded_map::BoundedMap,
    fields::{Fields, Value},
};
use ogrt_proto::field_numbers::process_info;
use std::{
    collections::{HashMap, VecDeque},
    hash::{DefaultHasher, Hasher},
    time::{Duration, Instant},
};

/// The time in which both tell of it. A start that waits in a spool comes later, and is a claim.
const TOGETHER: Duration = Duration::from_secs(10);

/// Starts that wait for their like, at most.
const WAITING_MAX: usize = 65_536;

/// Events of starts that were left out, which may have further parts, or an end: about 2 MB.
const LEFT_OUT_MAX: usize = 65_536;

/// The teller of a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartTeller {
    /// The process itself.
    Process,
    /// ogrt-observe.
    Observer,
}

/// A start that only one has told so far.
struct LoneStart {
    program: u64,
    teller: StartTeller,
    told: Instant,
}

/// See the module.
#[derive(Default)]
pub struct ToldTwice {
    lone: HashMap<ProcessKey, Vec<LoneStart>>,
    /// The same in the order of their arrival.
    order: VecDeque<(Instant, ProcessKey)>,
    left_out: BoundedMap<[u8; 16], (), LEFT_OUT_MAX>,
}

impl ToldTwice {
    /// True if the other teller has told of this exec.
    pub fn is_told(
        &mut self,
        key: ProcessKey,
        event_id: [u8; 16],
        message: &[u8],
        teller: StartTeller,
    ) -> bool {
        let Some(program) = static_program(message) else { return false };
        let now = Instant::now();
        self.forget(now);
        let starts = self.lone.entry(key).or_default();
        let other = starts.iter().position(|lone| lone.program == program && lone.teller != teller);
        if let Some(at) = other {
            starts.remove(at);
            self.left_out.remember(event_id, ());
            return true;
        }
        starts.push(LoneStart { program, teller, told: now });
        self.order.push_back((now, key));
        false
    }

    /// True if this start was left out.
    pub fn is_left_out(&self, event_id: &[u8; 16]) -> bool {
        self.left_out.get(event_id).is_some()
    }

    fn forget(&mut self, now: Instant) {
        while let Some((told, key)) = self.order.front().copied()
            && (now.duration_since(told) > TOGETHER || self.order.len() >= WAITING_MAX)
        {
            self.order.pop_front();
            let Some(starts) = self.lone.get_mut(&key) else { continue };
            starts.retain(|lone| lone.told > told);
            if starts.is_empty() {
                self.lone.remove(&key);
            }
        }
    }
}

/// The program of a start, where both tellers may tell of it: by its build-id, else by its note,
/// else by its name.
fn static_program(message: &[u8]) -> Option<u64> {
    let (mut is_static, mut build_id, mut note, mut path) = (false, &[][..], &[][..], &[][..]);
    for field in Fields::of(message).map_while(Result::ok) {
        match field {
            (process_info::IS_STATIC, Value::Varint(value)) => is_static = value != 0,
            (process_info::BUILD_ID, Value::Bytes(bytes)) => build_id = bytes,
            (process_info::NOTES, Value::Bytes(bytes)) if note.is_empty() => note = bytes,
            (process_info::BINPATH, Value::Bytes(bytes)) => path = bytes,
            _ => {}
        }
    }
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let known = [build_id, note, name].into_iter().find(|bytes| !bytes.is_empty())?;
    let mut hasher = DefaultHasher::new();
    hasher.write(known);
    is_static.then(|| hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use StartTeller::{Observer, Process};
    use ogrt_proto::ProcessInfo;
    use prost::Message;

    fn start(program: u8, is_static: bool) -> Vec<u8> {
        let info = ProcessInfo {
            build_id: Some(vec![program; 20].into()),
            binpath: Some("/p".into()),
            is_static: Some(is_static),
            ..ProcessInfo::default()
        };
        info.encode_to_vec()
    }

    /// The number of starts that count, of one process.
    fn counted(told: &[(u8, StartTeller)]) -> usize {
        let (mut twice, key) = (ToldTwice::default(), ProcessKey::of_number(5));
        let is_new = |(number, (program, teller)): &(usize, &(u8, StartTeller))| {
            let id = [*number as u8; 16];
            let is_twice = twice.is_told(key, id, &start(*program, true), *teller);
            assert_eq!(twice.is_left_out(&id), is_twice);
            !is_twice
        };
        told.iter().enumerate().filter(is_new).count()
    }

    #[test]
    fn one_exec_is_one_start_whoever_is_first() {
        assert_eq!(counted(&[(1, Process), (1, Observer)]), 1);
        assert_eq!(counted(&[(1, Observer), (1, Process)]), 1);
        assert_eq!(counted(&[(1, Observer)]), 1);
        assert_eq!(counted(&[(1, Observer), (2, Process)]), 2, "another program");
    }

    #[test]
    fn a_program_that_runs_itself_again_has_a_start_each_time() {
        for order in [
            [Process, Observer, Process, Observer],
            [Process, Process, Observer, Observer],
            [Observer, Observer, Process, Process],
            [Observer, Process, Process, Observer],
        ] {
            assert_eq!(counted(&order.map(|teller| (1, teller))), 2, "{order:?}");
        }
        assert_eq!(counted(&[(1, Observer), (1, Observer), (1, Observer)]), 3);
    }

    #[test]
    fn other_processes_and_dynamic_programs_are_no_twins() {
        let mut twice = ToldTwice::default();
        let [first, second] = [1, 2].map(ProcessKey::of_number);
        assert!(!twice.is_told(first, [1; 16], &start(1, true), Process));
        assert!(!twice.is_told(second, [2; 16], &start(1, true), Observer));
        assert!(!twice.is_told(first, [3; 16], &start(1, false), Observer));
        assert!(twice.is_told(first, [4; 16], &start(1, true), Observer));
    }

    #[test]
    fn what_waits_has_a_bound() {
        let mut twice = ToldTwice::default();
        for number in 0..WAITING_MAX as u64 + 100 {
            twice.is_told(ProcessKey::of_number(number), [0; 16], &start(1, true), Observer);
        }
        assert!(twice.order.len() <= WAITING_MAX && twice.lone.len() <= WAITING_MAX);
    }
}
