//! The thread that looks which processes have ended, and tells their ends to the queue.
//!
//! What a process sent before it ended may still lie in our sockets when its end is seen. So an end
//! is told when the sockets have been found empty once more.

use super::{
    Follow,
    end_message::entry,
    process_table::{ProcessKey, SeenEnd},
};
use crate::{
    clock::now_ns,
    config::Time,
    queue::{Room, Submission, WriterMessage},
    shutdown::Shutdown,
};
use nix::sys::epoll::{EpollEvent, EpollFlags, EpollTimeout};
use ogrt_observe::KernelOffer;
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::Sender,
    },
    thread,
    time::{Duration, Instant},
};
use tokio::runtime::Handle;

/// Ends that are taken from the kernel, and told, at once.
const AT_ONCE: usize = 1024;

/// How long after the last end the short sleep is kept.
const BUSY: Duration = Duration::from_millis(500);

/// How long a parent may take to ask how its child ended. Then the end is told without.
const REAPED_WITHIN: Duration = Duration::from_secs(60);

/// See the module.
pub struct FollowStage {
    pub follow: Arc<Follow>,
    /// To the queue's writer.
    pub writer: Sender<WriterMessage>,
    pub room: Room,
    /// How often the Unix sockets were found empty.
    pub emptied: Arc<AtomicU64>,
    /// Asked when nothing is received any more.
    pub stop: Shutdown,
    /// Time between two looks, while processes end and else.
    pub look_every: Time,
    pub idle_look_every: Time,
}

/// Ends that are seen and not told.
#[derive(Default)]
struct Pending {
    /// Processes, each with the number of emptyings after which all it sent is received.
    ended: VecDeque<(u64, ProcessKey)>,
    /// Starts that were over otherwise.
    over: VecDeque<(u64, SeenEnd)>,
    /// Processes that nobody has reaped, and how long they are waited for.
    unreaped: VecDeque<(Instant, ProcessKey)>,
}

impl FollowStage {
    /// Follows until told to stop. Ends that are seen by then are told; who lives has none.
    pub fn run(self, runtime: &Handle) {
        let mut pending = Pending::default();
        let mut last_end = Instant::now();
        loop {
            let is_last = self.stop.asked();
            if self.look(&mut pending) {
                last_end = Instant::now();
            }
            if is_last {
                let unreaped = self.follow.table().ended_keys();
                pending.ended.extend(unreaped.into_iter().map(|key| (0, key)));
            }
            self.tell(&mut pending, is_last, runtime);
            if is_last {
                return;
            }
            let is_busy = last_end.elapsed() < BUSY;
            thread::sleep(if is_busy { self.look_every.0 } else { self.idle_look_every.0 });
        }
    }

    /// Takes from the kernel which processes have ended; true if some have.
    fn look(&self, pending: &mut Pending) -> bool {
        let Some(epoll) = &self.follow.epoll else { return false };
        // The emptying that goes on now may be past the socket already; the next is not.
        let due = self.emptied.load(Ordering::Acquire) + 2;
        let mut events = [EpollEvent::empty(); AT_ONCE];
        let mut some = false;
        loop {
            let count = epoll.wait(&mut events, EpollTimeout::ZERO).unwrap_or(0);
            let now_ns = now_ns();
            let mut table = self.follow.table();
            for event in events.iter().take(count) {
                let key = ProcessKey::of_event(event.data());
                table.ended(key, now_ns);
                let is_reaped = event.events().contains(EpollFlags::EPOLLHUP);
                if is_reaped || self.follow.offer != KernelOffer::ExitStatus {
                    pending.ended.push_back((due, key));
                } else {
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
        some
    }

    /// Tells the ends that are due, or all of them.
    fn tell(&self, pending: &mut Pending, all: bool, runtime: &Handle) {
        let emptied = if all { u64::MAX } else { self.emptied.load(Ordering::Acquire) };
        loop {
            let mut ends = Vec::new();
            {
                let mut table = self.follow.table();
                while ends.len() < AT_ONCE
                    && let Some((_, key)) = pending.ended.pop_front_if(|(due, _)| *due <= emptied)
                {
                    ends.extend(table.take(key));
                }
            }
            while ends.len() < AT_ONCE
                && let Some((_, end)) = pending.over.pop_front_if(|(due, _)| *due <= emptied)
            {
                ends.push(end);
            }
            if ends.is_empty() {
                return;
            }
            let now_ns = now_ns();
            let mut submission = Submission::default();
            for end in &ends {
                submission.entries.push(&entry(end, now_ns));
            }
            submission.closes = ends.iter().map(|end| end.start.event_id).collect();
            self.follow.metrics.ends_followed.add(ends.len() as u64);
            submission.room = runtime.block_on(self.room.take(submission.bytes()));
            // The writer is gone only when the server stops.
            let _ = self.writer.send(WriterMessage::Submit(submission));
            // What its process tells from here on comes after the kernel's word, and is left out by
            // the join.
            let mut table = self.follow.table();
            table.told(&ends);
            self.follow.metrics.processes_followed.set(table.count() as u64);
        }
    }
}
