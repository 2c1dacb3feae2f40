//! What happens in a run: its settings and its actions, all from the seed.

use super::{
    population::{BUILDS, Build, JOBS, Message, Process},
    random::Random,
};
use crate::config::{Config, FileConfig, FileLayout, OutputConfig, Size, Time};
use std::{fmt, path::Path};

/// A whole run.
pub struct Plan {
    pub settings: Settings,
    pub processes: Vec<Process>,
    pub actions: Vec<Action>,
}

/// What the configuration says, as far as it differs from run to run.
#[derive(Clone, Debug)]
pub struct Settings {
    pub wait_ms: u64,
    pub parts: Parts,
    pub parts_wait_ms: u64,
    pub waiting_max: usize,
    pub wait_again_after_ms: u64,
    pub cached_builds_max: usize,
    pub queue_bytes_max: u64,
    pub uses_write_every_ms: u64,
    pub commit_every_ms: u64,
    pub rotate_bytes: u64,
    pub open_files_max: usize,
}

/// How events come in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parts {
    /// Each event is one message.
    Never,
    /// All parts of an event are in one submission, and parts do not wait long.
    Together,
    /// Parts come in any order, and wait for as long as it takes.
    Apart,
    /// Parts come in any order, and there is hardly room to wait: some go on alone.
    Tight,
}

/// One step.
#[derive(Clone, Debug)]
pub enum Action {
    /// Sends messages and builds in one submission; waits for the answer or goes on.
    Submit { messages: Vec<Message>, builds: Vec<Build>, is_acknowledged: bool, is_awaited: bool },
    /// What the job ran.
    AskJob(Option<usize>),
    /// Who ran the build.
    AskUses(Build),
    /// What ran unregistered.
    AskUnregistered,
    /// Lets this many milliseconds pass.
    Wait(u64),
    /// All commits after this many fail from now on.
    Arm(u64),
    /// The process dies. Then one after the other starts and dies after the commits of `opening`.
    /// `torn` cuts off what files have behind their last commit.
    Crash { opening: Vec<u64>, torn: Option<usize> },
    /// An orderly stop and a start.
    Restart,
}

impl Plan {
    /// The plan of a seed.
    pub fn new(seed: u64) -> Self {
        let random = &mut Random::new(seed);
        let settings = Settings::random(random);
        let parts_max = if settings.parts == Parts::Never { 1 } else { 3 };
        let count = 10 + random.below(30);
        let processes: Vec<Process> = (0..count).map(|_| Process::random(random, parts_max)).collect();
        let units = units(random, &settings, &processes);
        let actions = actions(random, &processes, units);
        Plan { settings, processes, actions }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}", self.settings)?;
        for (number, process) in self.processes.iter().enumerate() {
            writeln!(f, "process {number}: {process:?}")?;
        }
        for (number, action) in self.actions.iter().enumerate() {
            writeln!(f, "action {number}: {action:?}")?;
        }
        Ok(())
    }
}

impl Settings {
    fn random(random: &mut Random) -> Self {
        let parts = random.pick(&[Parts::Never, Parts::Together, Parts::Apart, Parts::Apart, Parts::Tight]);
        Settings {
            wait_ms: random.pick(&[0, 20, 60, 20_000]),
            parts,
            parts_wait_ms: if parts == Parts::Together { 15 } else { 60_000 },
            waiting_max: match parts {
                Parts::Never => random.pick(&[2, 50_000]),
                Parts::Together | Parts::Apart => 50_000,
                Parts::Tight => 3,
            },
            wait_again_after_ms: random.pick(&[1, 600_000]),
            cached_builds_max: random.pick(&[1, 4, 1000]),
            queue_bytes_max: random.pick(&[4096, 1 << 30, 1 << 30]),
            uses_write_every_ms: random.pick(&[0, 5, 50, 10_000]),
            commit_every_ms: random.pick(&[0, 10, 1000]),
            rotate_bytes: random.pick(&[0, 2048]),
            open_files_max: random.pick(&[1, 2, 256]),
        }
    }

    /// The same with a queue that refuses nothing.
    pub fn roomy(&self) -> Self {
        Settings { queue_bytes_max: 1 << 30, ..self.clone() }
    }

    /// The same with a join in which nothing waits.
    pub fn impatient(&self) -> Self {
        Settings { wait_ms: 0, parts_wait_ms: 0, ..self.roomy() }
    }

    /// The configuration of a server whose files are in this directory.
    pub fn config(&self, directory: &Path) -> Config {
        let mut config = Config { data_dir: directory.join("data"), ..Config::default() };
        config.join.wait = Time::from_millis(self.wait_ms);
        config.join.wait_again_after = Time::from_millis(self.wait_again_after_ms);
        config.join.parts_wait = Time::from_millis(self.parts_wait_ms);
        config.join.waiting_max = self.waiting_max;
        config.registry.cached_builds_max = self.cached_builds_max;
        config.queue.bytes_max = Size(self.queue_bytes_max);
        config.queue.disk_free_min = Size(0);
        config.uses.write_every = Time::from_millis(self.uses_write_every_ms);
        for (name, layout) in [("lines", FileLayout::Lines), ("jobs", FileLayout::Jobs)] {
            let file = FileConfig {
                layout,
                path: directory.join(name),
                open_files_max: self.open_files_max,
                commit_every: Time::from_millis(self.commit_every_ms),
                rotate_bytes: Size(if layout == FileLayout::Lines { self.rotate_bytes } else { 0 }),
                compression: crate::config::FileCompression::None,
                ..FileConfig::default()
            };
            config.outputs.insert(name.to_owned(), OutputConfig::File(file));
        }
        config
    }
}

/// Messages that are sent together, in the order in which clients send them; some parts never are.
fn units(random: &mut Random, settings: &Settings, processes: &[Process]) -> Vec<Vec<Message>> {
    let mut units: Vec<(usize, Vec<Message>)> = Vec::new();
    for (number, process) in processes.iter().enumerate() {
        let messages = process.messages(number);
        for event in messages.chunk_by(|a, b| a.is_end == b.is_end) {
            let mut event = event.to_vec();
            if event.len() > 1 && random.chance(8) {
                event.remove(random.below(event.len()));
            }
            let when = |random: &mut Random| number * 3 + random.below(20);
            if settings.parts == Parts::Together {
                let first = random.below(event.len());
                event.rotate_left(first);
                units.push((when(random), event));
            } else {
                units.extend(event.into_iter().map(|message| (when(random), vec![message])));
            }
        }
    }
    units.sort_by_key(|(when, _)| *when);
    units.into_iter().map(|(_, unit)| unit).collect()
}

fn actions(random: &mut Random, processes: &[Process], units: Vec<Vec<Message>>) -> Vec<Action> {
    let is_acknowledged = |unit: &[Message]| processes[unit[0].process].is_acknowledged;
    let mut actions = Vec::new();
    // When each build is registered, counted in units; some never are.
    let mut registrations: Vec<(usize, Build)> = Vec::new();
    for build in 0..BUILDS {
        let times = random.pick(&[0, 1, 1, 1, 2]);
        registrations.extend((0..times).map(|_| (random.below(units.len()), build)));
    }
    // A crash comes this many actions after its commits begin to fail.
    let mut until_crash = None;
    let mut next = 0;
    while next < units.len() {
        if until_crash == Some(0) {
            until_crash = None;
            actions.push(Action::Crash {
                opening: (0..random.pick(&[0, 0, 1, 2])).map(|_| random.below(6) as u64).collect(),
                torn: random.chance(40).then(|| random.below(1 << 20)),
            });
        }
        until_crash = until_crash.map(|actions: usize| actions - 1);
        let action = match random.below(100) {
            0..4 => Action::AskJob((random.below(JOBS + 1)).checked_sub(1)),
            4..8 => Action::AskUses(random.below(BUILDS)),
            8..10 => Action::AskUnregistered,
            10..18 => Action::Wait(1 + random.below(30) as u64),
            18..32 if until_crash.is_none() => {
                until_crash = Some(random.below(5));
                Action::Arm(random.below(12) as u64)
            }
            32..35 if until_crash.is_none() => Action::Restart,
            35..41 if !registrations.is_empty() => {
                let builds = vec![registrations.remove(random.below(registrations.len())).1];
                Action::Submit { messages: Vec::new(), builds, is_acknowledged: true, is_awaited: true }
            }
            _ => {
                let first = &units[next];
                let alike = |unit: &&Vec<Message>| is_acknowledged(unit) == is_acknowledged(first);
                let together = 1 + random.below(4);
                let taken: Vec<_> = units[next..].iter().take(together).take_while(alike).collect();
                next += taken.len();
                let mut messages: Vec<Message> = taken.into_iter().flatten().copied().collect();
                if random.chance(25) {
                    let before: Vec<_> = units[..next].iter().filter(alike).collect();
                    messages.extend(before[random.below(before.len())]);
                }
                let is_acknowledged = is_acknowledged(first);
                let mut builds = Vec::new();
                registrations.retain(|(due, build)| {
                    let stays = *due > next || !is_acknowledged;
                    if !stays {
                        builds.push(*build);
                    }
                    stays
                });
                Action::Submit { messages, builds, is_acknowledged, is_awaited: random.chance(50) }
            }
        };
        actions.push(action);
    }
    if until_crash.is_some() {
        actions.push(Action::Crash { opening: Vec::new(), torn: None });
    }
    actions
}
