//! Starts without an end, on disk, so that each start has an end whatever becomes of the server.
//!
//! ```text
//! event id -> what is kept of the start: the process, its receipt, when it ended where that was
//!             seen, its executable, and the facts that its end repeats
//! ```
//! They follow from the queue: what it has a start of, and no end. This stage reads it as a
//! consumer of its own, and moves its offset on in the write that holds what it found. A process
//! that ends soon is never written.
//!
//! After a restart a process is found again by its number and the time at which it began, where the
//! machine has not been started anew. Whoever is not there any more has ended, and nobody saw how:
//! its end is `unknown`, with the time until which it was seen alive. Tests:
//! `server/tests/server/follow.rs`.

use super::{
    Follow,
    process_key::ProcessKey,
    process_table::{EndCause, ProcessStart},
    sender::SenderProcess,
    start_facts::facts_and_place,
};
use crate::{
    clock::now_ns,
    database::{FollowStore, Writes},
    queue::{Credentials, EndSource, Entry, Kind, Queue, identify},
    shutdown::Shutdown,
};
use anyhow::Result;
use bytes::{Buf, BufMut};
use ogrt_observe::ProcessStat;
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    fs,
    os::unix::ffi::OsStrExt,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};
use tokio::time::sleep;
use tracing::{error, info};

/// The consumer's name in the queue, which no output can have.
pub const CONSUMER: &str = ".follow";

/// The time between two writes.
const WRITE_EVERY: Duration = Duration::from_secs(1);

/// The time between two notes that all are alive, while nothing is queued.
const ALIVE_EVERY: Duration = Duration::from_secs(10);

/// Writes after which a start is forgotten that is not followed, and whose end did not come.
const UNKNOWN_MAX: u8 = 5;

/// Starts that are remembered though they are not followed, because their ends may be on their way:
/// no flood of starts takes more memory.
const UNFOLLOWED_MAX: usize = 4096;

/// Starts without an end that are taken up after a restart.
const RESUMED_MAX: usize = 200_000;

/// The form of what is kept.
const FORM: u8 = 1;

/// See the module.
pub struct OpenStarts {
    store: FollowStore,
    queue: Arc<Queue>,
    follow: Arc<Follow>,
    open: HashMap<[u8; 16], OpenStart>,
    /// Starts on disk that have an end by now.
    closed: Vec<[u8; 16]>,
    next: u64,
    /// Starts that are open though not followed; `None` while nobody is followed yet.
    unfollowed: Option<usize>,
}

/// A start without an end.
#[derive(Default)]
struct OpenStart {
    /// What is not on disk yet.
    fresh: Option<KeptStart>,
    is_on_disk: bool,
    /// Writes at which its process was not followed.
    unknown: u8,
    /// The time of the end is on disk.
    has_end_time: bool,
}

/// What is kept of a start.
#[derive(Clone, Debug, PartialEq, Eq)]
struct KeptStart {
    credentials: Credentials,
    received_ns: i64,
    /// The time of its end, where that was seen and not told.
    ended_ns: Option<i64>,
    /// When its process was made, in ticks since the machine started, where that was seen.
    made_ticks: Option<i64>,
    /// The executable as procfs names it; empty where we may not ask.
    executable: Vec<u8>,
    /// Facts and place of the start.
    message: Vec<u8>,
}

impl KeptStart {
    fn of(entry: &Entry<&[u8]>, credentials: Credentials) -> Self {
        KeptStart {
            credentials,
            received_ns: entry.received_ns,
            ended_ns: None,
            made_ticks: None,
            executable: Vec::new(),
            message: facts_and_place(entry.message),
        }
    }

    /// The same with what procfs says of the process now.
    fn seen(self) -> Self {
        let pid = self.credentials.pid;
        let made_ticks = ProcessStat::of(pid).map(|usage| usage.made_ticks);
        KeptStart { made_ticks, executable: executable(pid), ..self }
    }

    fn write(&self) -> Vec<u8> {
        let mut out = vec![FORM];
        let Credentials { pid, uid, gid } = self.credentials;
        [pid, uid, gid].into_iter().for_each(|number| out.put_u32(number));
        out.put_i64(self.received_ns);
        out.put_i64(self.ended_ns.unwrap_or(0));
        out.put_i64(self.made_ticks.unwrap_or(0));
        let executable = &self.executable[..self.executable.len().min(usize::from(u16::MAX))];
        out.put_u16(executable.len() as u16);
        out.put_slice(executable);
        out.put_slice(&self.message);
        out
    }

    fn read(mut bytes: &[u8]) -> Option<Self> {
        if bytes.try_get_u8().ok()? != FORM {
            return None;
        }
        let mut number = || bytes.try_get_u32().ok();
        let credentials = Credentials { pid: number()?, uid: number()?, gid: number()? };
        let received_ns = bytes.try_get_i64().ok()?;
        let mut known = || Some(Some(bytes.try_get_i64().ok()?).filter(|number| *number != 0));
        let (ended_ns, made_ticks) = (known()?, known()?);
        let len = usize::from(bytes.try_get_u16().ok()?);
        let (executable, message) = bytes.split_at_checked(len)?;
        Some(KeptStart {
            credentials,
            received_ns,
            ended_ns,
            made_ticks,
            executable: executable.to_vec(),
            message: message.to_vec(),
        })
    }
}

impl OpenStarts {
    /// Reads what an earlier run left, and goes on to follow it.
    pub fn resume(store: FollowStore, queue: Arc<Queue>, follow: Arc<Follow>) -> Result<Self> {
        let next = queue.offset(CONSUMER);
        let (open, closed) = (HashMap::new(), Vec::new());
        let mut starts = OpenStarts { store, queue, follow, open, closed, next, unfollowed: None };
        let mut kept = HashMap::new();
        for entry in starts.store.open.iter() {
            let (key, value) = entry.into_inner()?;
            if let (Ok(id), Some(start)) = (key[..].try_into(), KeptStart::read(&value)) {
                kept.insert(id, start);
                starts.open.insert(id, OpenStart { is_on_disk: true, ..OpenStart::default() });
            }
        }
        let on_disk_until = starts.store.alive_until.get()? as i64;
        while starts.next < starts.queue.tail().borrow().next {
            starts.take_batch()?;
        }
        let mut left: Vec<([u8; 16], KeptStart, bool)> = Vec::new();
        for (id, open) in &starts.open {
            left.extend(open.fresh.clone().map(|fresh| (*id, fresh, false)));
            left.extend(kept.remove(id).filter(|_| open.fresh.is_none()).map(|start| (*id, start, true)));
        }
        // Of one process the earlier program comes first.
        left.sort_by_key(|(_, start, _)| start.received_ns);
        starts.unfollowed = Some(0);
        let mut writes = starts.store.database.writes();
        let machine = Machine::look(&starts.store, &mut writes)?;
        if machine == Machine::OtherNumbers {
            starts.follow.numbers_since_ns.store(now_ns(), Ordering::Relaxed);
        }
        let (mut lost, count) = (0, left.len());
        let mut living = HashMap::new();
        for (id, kept, is_old) in &left {
            let start = ProcessStart::read(&kept.message, *id, kept.credentials, kept.received_ns);
            let alive_until_ns = if *is_old { on_disk_until.max(kept.received_ns) } else { kept.received_ns };
            let found = starts.follow.resume(&start, kept, machine, alive_until_ns, &mut living);
            lost += u64::from(!found);
        }
        writes.commit()?;
        if count > 0 {
            info!("{count} processes had no end when the server stopped; {lost} of them are gone");
        }
        Ok(starts)
    }

    /// Keeps them until the queue is closed.
    pub async fn keep(mut self, give_up: Shutdown) {
        let mut tail = self.queue.tail();
        let (mut noted, mut has_failed) = (Instant::now(), false);
        while !give_up.asked() {
            let seen = *tail.borrow_and_update();
            let is_due = noted.elapsed() >= ALIVE_EVERY && !self.open.is_empty();
            if self.next < seen.next || is_due || seen.closed || has_failed {
                let done = self.write(seen.next);
                has_failed = done.is_err();
                match done {
                    Ok(()) => noted = Instant::now(),
                    Err(problem) => {
                        error!("open processes cannot be written: {problem:#}; it is tried again")
                    }
                }
                if seen.closed && !has_failed {
                    return;
                }
            }
            tokio::select! {
                () = sleep(WRITE_EVERY) => {}
                () = async {
                    let _ = tail.wait_for(|tail| tail.closed).await;
                } => {}
                () = give_up.wait() => {}
            }
        }
    }

    /// Takes the batches before `until`, and writes what they have changed.
    fn write(&mut self, until: u64) -> Result<()> {
        // Who is followed at this time is alive.
        let alive_until_ns = now_ns();
        while self.next < until {
            self.take_batch()?;
        }
        let mut writes = self.queue.writes();
        let ended: HashMap<_, _> = self.follow.ended_starts().into_iter().collect();
        let follow = self.follow.clone();
        let (mut forgotten, mut changes) = (Vec::new(), Vec::new());
        for (id, open) in &mut self.open {
            open.unknown = if follow.is_open(id) { 0 } else { open.unknown.saturating_add(1) };
            if open.unknown > UNKNOWN_MAX {
                forgotten.push(*id);
                continue;
            }
            let ended_ns = ended.get(id).copied().filter(|_| !open.has_end_time);
            let mut changed = match (&open.fresh, ended_ns) {
                (Some(fresh), _) => Some(fresh.clone().seen()),
                (None, Some(_)) => self.store.open.get(id)?.and_then(|value| KeptStart::read(&value)),
                (None, None) => None,
            };
            if let Some(changed) = &mut changed {
                changed.ended_ns = changed.ended_ns.or(ended_ns);
                writes.insert(&self.store.open, *id, changed.write());
                changes.push((*id, ended_ns.is_some()));
            }
        }
        self.unfollowed = Some(self.open.values().filter(|open| open.unknown > 0).count() - forgotten.len());
        for id in forgotten {
            self.close(&id);
        }
        for id in &self.closed {
            writes.remove(&self.store.open, *id);
        }
        writes.set(&self.store.alive_until, alive_until_ns as u64);
        self.queue.move_on(CONSUMER, self.next, writes)?;
        self.closed.clear();
        for (id, has_end_time) in changes {
            if let Some(open) = self.open.get_mut(&id) {
                (open.fresh, open.is_on_disk) = (None, true);
                open.has_end_time |= has_end_time;
            }
        }
        Ok(())
    }

    fn take_batch(&mut self) -> Result<()> {
        let Some(batch) = self.queue.read(self.next)? else {
            self.next = self.queue.head()?.max(self.next + 1);
            return Ok(());
        };
        let mut rest = &batch.bytes[..];
        while let Some(entry) = Entry::borrowed(&mut rest) {
            self.take(&entry);
        }
        self.next += 1;
        Ok(())
    }

    fn take(&mut self, entry: &Entry<&[u8]>) {
        // What was set aside comes once more when it goes on.
        let is_first = !entry.is_final && !entry.is_whole && entry.relay().is_none();
        let Some(credentials) = entry.credentials.filter(|_| is_first) else { return };
        let Some(identity) = identify(entry.kind, entry.message) else { return };
        let Some(id) = identity.event_id.or(entry.assigned_id) else { return };
        match entry.kind {
            Kind::Start => {
                if !self.has_room(&id) {
                    return;
                }
                let open = self.open.entry(id).or_default();
                if open.fresh.is_none() && !open.is_on_disk && identity.part_index == 0 {
                    open.fresh = Some(KeptStart::of(entry, credentials));
                }
            }
            Kind::End if entry.end_source == EndSource::Kernel => self.close(&id),
            Kind::End | Kind::Summary => {}
        }
    }

    /// Tells whether a start may be remembered.
    fn has_room(&mut self, id: &[u8; 16]) -> bool {
        match &mut self.unfollowed {
            None => self.open.len() < RESUMED_MAX,
            Some(_) if self.follow.is_open(id) || self.open.contains_key(id) => true,
            Some(unfollowed) => {
                *unfollowed += 1;
                *unfollowed <= UNFOLLOWED_MAX
            }
        }
    }

    fn close(&mut self, id: &[u8; 16]) {
        if self.open.remove(id).is_some_and(|open| open.is_on_disk) {
            self.closed.push(*id);
        }
    }
}

impl Follow {
    /// Goes on with a start that had no end when the server stopped. False where its process is
    /// gone, and its end is told as one that nobody saw. `living`: the processes that were found
    /// again, by number.
    fn resume(
        &self,
        start: &ProcessStart<'_>,
        kept: &KeptStart,
        machine: Machine,
        alive_until_ns: i64,
        living: &mut HashMap<u32, ProcessKey>,
    ) -> bool {
        let pid = kept.credentials.pid;
        let found = match machine {
            Machine::Same => SenderProcess::again(start, kept.made_ticks),
            Machine::StartedAnew => Err(Errno::SRCH),
            // Its number means another process here, or none.
            Machine::OtherNumbers => Err(Errno::ACCESS),
        };
        let mut is_exec = false;
        match found {
            Ok((key, pidfd)) => {
                let now = executable(pid);
                is_exec = !now.is_empty() && !kept.executable.is_empty() && now != kept.executable;
                if !is_exec {
                    self.go_on(start, key, pidfd);
                    living.insert(pid, key);
                    return true;
                }
            }
            // It has ended since its earlier program was found: that one ended by exec.
            Err(Errno::SRCH) if self.goes_on(start, living.get(&pid)) => return true,
            Err(Errno::SRCH) => {}
            Err(refusal) => {
                self.is_unfollowed(&refusal.to_string());
                return true;
            }
        }
        self.table().is_lost(
            start,
            kept.ended_ns,
            EndCause::Unseen { alive_until_ns, is_exec, gone_by_ns: None },
        );
        false
    }
}

/// The executable of a process as procfs names it; empty where it is gone, or not ours to know.
fn executable(pid: u32) -> Vec<u8> {
    let path = fs::read_link(format!("/proc/{pid}/exe"));
    path.map(|path| path.as_os_str().as_bytes().to_vec()).unwrap_or_default()
}

/// The machine as an earlier run of the server left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Machine {
    Same,
    /// All processes of that run are gone.
    StartedAnew,
    /// The server sees processes by other numbers than that run.
    OtherNumbers,
}

impl Machine {
    /// Compares it with what the earlier run noted, and notes it for the next one.
    fn look(store: &FollowStore, writes: &mut Writes) -> fjall::Result<Self> {
        let boot = number_of(&fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default());
        let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        let namespace = number_of(namespace.as_os_str().as_bytes());
        let machine = match (store.boot.get()? == boot, store.namespace.get()? == namespace) {
            (true, true) => Machine::Same,
            (true, false) => Machine::OtherNumbers,
            (false, _) => Machine::StartedAnew,
        };
        writes.set(&store.boot, boot);
        writes.set(&store.namespace, namespace);
        Ok(machine)
    }
}

fn number_of(text: &[u8]) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&Sha256::digest(text)[..8]);
    u64::from_be_bytes(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Store;

    #[test]
    fn what_is_kept_is_read_as_it_was_written() {
        let credentials = Credentials { pid: 1, uid: 2, gid: 3 };
        let kept = KeptStart {
            credentials,
            received_ns: -4,
            ended_ns: Some(5),
            made_ticks: Some(6),
            executable: b"/bin/true".to_vec(),
            message: vec![8, 9],
        };
        for kept in [kept.clone(), KeptStart { ended_ns: None, executable: Vec::new(), ..kept }] {
            let bytes = kept.write();
            assert_eq!(KeptStart::read(&bytes), Some(kept.clone()));
            let whole = bytes.len() - kept.message.len();
            assert!((0..whole).all(|cut| KeptStart::read(&bytes[..cut]).is_none()));
        }
    }

    #[test]
    fn a_machine_that_was_started_anew_is_not_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap().follow();
        let look = || {
            let mut writes = store.database.writes();
            let machine = Machine::look(&store, &mut writes).unwrap();
            writes.commit().unwrap();
            machine
        };
        assert_eq!([look(), look()], [Machine::StartedAnew, Machine::Same]);
        let mut writes = store.database.writes();
        writes.set(&store.namespace, 7);
        writes.commit().unwrap();
        assert_eq!([look(), look()], [Machine::OtherNumbers, Machine::Same]);
        let mut writes = store.database.writes();
        writes.set(&store.boot, 7);
        writes.commit().unwrap();
        assert_eq!(look(), Machine::StartedAnew);
    }
}
