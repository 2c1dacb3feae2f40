//! The thread that looks which processes have ended, and tells their ends to the queue.
//!
//! What a process sent before it ended may still lie in our sockets when its end is seen. So an end
//! is told when all of that is received ([`Receipts`]), or after a moment in any case: what comes
//! later than the kernel's word is left out by the join.

use super::{
    Follow, accounts,
    end_message::entry,
    process_key::ProcessKey,
    process_table::ProcessEnding,
    receipts::{ReceiptMark, Receipts},
    sample_times::SampleTimes,
    usage::Look,
};
use crate::{
    alarm::{Alarm, SILENCE, SLEEP_MAX},
    clock::now_ns,
    config::Time,
    priority,
    queue::{Room, Submission, WriterMessage},
    shutdown::Shutdown,
};
use nix::sys::epoll::{EpollEvent, EpollFlags, EpollTimeout};
use ogrt_observe::KernelOffer;
use std::{
    collections::VecDeque,
    os::fd::AsFd,
    sync::{Arc, mpsc::Sender},
    thread,
    time::{Duration, Instant},
};
use tokio::runtime::Handle;

/// Ends that are taken from the kernel, and told, at once.
const AT_ONCE: usize = 1024;

/// Time after the last end during which the short sleep is kept.
const BUSY: Duration = Duration::from_millis(500);

/// Time after which an end is told in any case.
const RECEIVED_WITHIN: Duration = Duration::from_secs(5);

/// Longest time for which forks wait to be heard: the kernel keeps some ten thousand.
const FORKS_WITHIN: Duration = Duration::from_secs(1);

/// Time that a parent has to ask how its child ended. After it the end is told without.
const REAPED_WITHIN: Duration = Duration::from_secs(60);

/// See the module.
pub struct FollowStage {
    pub follow: Arc<Follow>,
    /// The way to the queue's writer.
    pub writer: Sender<WriterMessage>,
    pub room: Room,
    /// What is received from the Unix sockets.
    pub receipts: Arc<Receipts>,
    /// The alarm of who receives it.
    pub receiver: Arc<Alarm>,
    /// The request to stop, made when nothing more is received.
    pub stop: Shutdown,
    /// Time between two looks while processes end, and while none does.
    pub look_every: Time,
    pub idle_look_every: Time,
    /// The age at which a process is looked at for the first time, and looks a second at most.
    pub sample_from: Time,
    pub samples_per_second: u64,
}

/// The moment at which all that a process sent is received, and what the kernel's accounting tells
/// of it.
#[derive(Clone, Copy)]
struct Due {
    received: ReceiptMark,
    latest: Instant,
    /// The time until which an account is waited for.
    account_until: Instant,
}

/// Ends that are seen and not told yet.
#[derive(Default)]
struct PendingEnds {
    /// Processes that have ended.
    ended: VecDeque<(Due, ProcessKey)>,
    /// Those of them that have a stream to us which is not read to its end.
    speaking: Vec<(Due, ProcessKey)>,
    /// Starts that were over otherwise.
    over: VecDeque<(Due, ProcessEnding)>,
    /// Processes that nobody has reaped, and how long they are waited for.
    unreaped: VecDeque<(Instant, ProcessKey)>,
}

impl PendingEnds {
    /// True if some are to be told as soon as it can be.
    fn are_due(&self) -> bool {
        !self.ended.is_empty() || !self.speaking.is_empty() || !self.over.is_empty()
    }
}

impl FollowStage {
    /// Follows until told to stop. Ends that are seen by then are told; who lives has none.
    pub fn run(self, runtime: &Handle) {
        // Who has ended has a place until this is told.
        priority::put_in_front();
        let (stop, follow) = (self.stop.clone(), self.follow.clone());
        runtime.spawn(async move {
            stop.wait().await;
            follow.alarm.ring();
        });
        let mut pending = PendingEnds::default();
        let mut events = vec![EpollEvent::empty(); AT_ONCE];
        let mut last_end = Instant::now();
        let mut times = SampleTimes::new(self.sample_from.0, self.samples_per_second);
        loop {
            let is_last = self.stop.asked();
            self.follow.read_forks();
            if self.look(&mut pending, &mut events) {
                last_end = Instant::now();
            }
            self.sample(&mut times);
            if is_last {
                let unreaped = self.follow.table().ended_keys();
                pending.ended.extend(unreaped.into_iter().map(|key| (self.due(), key)));
            }
            self.tell(&mut pending, is_last, runtime);
            if is_last {
                return;
            }
            match last_end.elapsed() {
                silence if silence < BUSY => thread::sleep(self.look_every.0),
                silence if silence < SILENCE || pending.are_due() => thread::sleep(self.idle_look_every.0),
                _ => self.sleep(&pending, &times),
            }
        }
    }

    /// Sleeps until a process ends or begins, or something is to be done.
    fn sleep(&self, pending: &PendingEnds, times: &SampleTimes) {
        let reaped =
            pending.unreaped.front().map(|(until, _)| until.saturating_duration_since(Instant::now()));
        let forks = self.follow.hears_forks.then_some(FORKS_WITHIN);
        let within = [reaped, times.next(), forks].into_iter().flatten().min();
        let ends: Vec<_> = self.follow.epoll.iter().map(|epoll| epoll.0.as_fd()).collect();
        self.follow.alarm.sleep(&ends, within.unwrap_or(SLEEP_MAX).min(SLEEP_MAX));
    }

    fn due(&self) -> Due {
        let (received, now) = (self.receipts.mark(), Instant::now());
        Due { received, latest: now + RECEIVED_WITHIN, account_until: now + accounts::WAIT }
    }

    /// Takes from the kernel which processes have ended; true if some have.
    fn look(&self, pending: &mut PendingEnds, events: &mut [EpollEvent]) -> bool {
        let Some(epoll) = &self.follow.epoll else { return false };
        let due = self.due();
        let mut some = false;
        loop {
            let count = epoll.wait(events, EpollTimeout::ZERO).unwrap_or(0);
            let now_ns = now_ns();
            let mut table = self.follow.table();
            for event in events.iter().take(count) {
                let key = ProcessKey::of_event(event.data());
                table.ended(key, now_ns);
                let is_reaped = event.events().contains(EpollFlags::EPOLLHUP);
                if is_reaped || self.follow.offer != KernelOffer::ExitStatus {
                    pending.ended.push_back((due, key));
                } else {
                    table.add_last_look(key);
                    pending.unreaped.push_back((Instant::now() + REAPED_WITHIN, key));
                }
            }
            pending.over.extend(table.take_over().into_iter().map(|end| (due, end)));
            some |= count > 0;
            if count < events.len() {
                break;
            }
        }
        while let Some((_, key)) = pending.unreaped.pop_front_if(|(until, _)| *until <= Instant::now()) {
            pending.ended.push_back((due, key));
        }
        if pending.are_due() {
            self.receiver.ring();
        }
        some
    }

    /// Looks at the processes whose turn it is.
    fn sample(&self, times: &mut SampleTimes) {
        let now_ns = now_ns();
        let age = |began_ns: i64| Duration::from_nanos(u64::try_from(now_ns - began_ns).unwrap_or(0));
        for (uid, subject, began_ns) in self.follow.table().take_fresh() {
            times.begin(uid, subject, age(began_ns));
        }
        let due = times.due(|(key, event_id)| self.follow.living(key, &event_id).is_some());
        for (uid, (key, event_id)) in due {
            let Some((pid, began_ns)) = self.follow.living(key, &event_id) else { continue };
            let is_first = !self.follow.was_looked_at(key, &event_id);
            let is_program = |pid| self.follow.table().places().has_pid(pid);
            if let Some(look) = Look::at(pid, now_ns, is_first, is_program) {
                times.was_at(uid, look.processes());
                self.follow.table().add_look(key, &event_id, look);
            }
            times.again(uid, (key, event_id), age(began_ns));
        }
    }

    /// Tells the ends that are due, or all of them.
    fn tell(&self, pending: &mut PendingEnds, all: bool, runtime: &Handle) {
        if !pending.are_due() {
            return;
        }
        let now = Instant::now();
        let is_received = |due: Due| self.receipts.are_past(due.received) || due.latest <= now;
        let has_account = |due: Due, process: Option<(u32, i64)>| {
            due.account_until <= now
                || process.is_none_or(|(pid, began_ns)| !self.follow.awaits_account(pid, began_ns))
        };
        let speaks = |due: Due, key| !all && due.latest > now && !self.follow.open_streams.is_silent(key);
        let silent = pending.speaking.extract_if(.., |(due, key)| !speaks(*due, *key));
        let mut silent: VecDeque<_> = silent.collect();
        loop {
            let mut ends = Vec::new();
            {
                let mut table = self.follow.table();
                while ends.len() < AT_ONCE
                    && let Some((due, key)) = silent.pop_front().or_else(|| {
                        pending.ended.pop_front_if(|(due, key)| {
                            all || is_received(*due) && has_account(*due, table.process(*key))
                        })
                    })
                {
                    match speaks(due, key) {
                        true => pending.speaking.push((due, key)),
                        false => ends.extend(table.take(key)),
                    }
                }
            }
            while ends.len() < AT_ONCE
                && let Some((_, end)) = pending.over.pop_front_if(|(due, end)| {
                    all || is_received(*due) && has_account(*due, end.process_that_is_gone())
                })
            {
                ends.push(end);
            }
            if ends.is_empty() {
                return;
            }
            let now_ns = now_ns();
            let mut submission = Submission::default();
            for end in &ends {
                let observed = self.follow.take_observed(&end.start.event_id);
                let account = self.follow.take_account(end);
                submission.entries.push(&entry(end, account, &observed, now_ns));
            }
            submission.closes =
                ends.iter().map(|end| (end.start.event_id, end.start.credentials.uid)).collect();
            self.follow.metrics.ends_followed.add(ends.len() as u64);
            let bytes = submission.bytes();
            submission.room = self.room.take_now(bytes).or_else(|| runtime.block_on(self.room.take(bytes)));
            // The writer is gone only when the server stops.
            let _ = self.writer.send(WriterMessage::Submit(submission));
            // What its process tells from here on comes after the kernel's word, and is left out by
            // the join.
            let mut table = self.follow.table();
            table.told(&ends);
            self.follow.metrics.processes_followed.set(table.places().count() as u64);
            drop(table);
            self.follow.are_over(&ends);
        }
    }
}
