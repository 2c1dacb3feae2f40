//! A year of a large site as sums, and how long a report over it takes.
//!
//! The rows are made as the stage of uses makes them, a day at a time. OGRT_TEST_FULL=1 makes 10^8
//! processes; build it as it is shipped (`cargo test --release`), else the figures are not ours.

use super::shared::Shared;
use crate::{
    config::Config,
    database::Store,
    dates::DAY_NS,
    reports::{ReportKey, ReportQuestion, Reports},
    shutdown::Shutdown,
    sums::{self, EndSum, JobFacts, Modules, Status, SumKey, SumTally},
    uses::Program,
};
use std::{
    env, fs,
    time::{Duration, Instant},
};

/// 2025-01-01.
const FIRST: u16 = 20_089;

/// The size of a year.
struct Year {
    days: u16,
    users: u64,
    programs: u64,
    /// Jobs of a user on a day, programs of a job, and processes of each of them.
    jobs: u64,
    programs_of_job: u64,
    processes: u64,
}

impl Year {
    fn processes(&self) -> u64 {
        u64::from(self.days) * self.users * self.jobs * self.programs_of_job * self.processes
    }
}

/// A generator of numbers (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Adds a day; the CPU time of all of its processes.
fn add_day(shared: &Shared, year: &Year, day: u16, numbers: &mut Numbers) -> u64 {
    let store = shared.store.uses().sums;
    let users: Vec<String> = (0..year.users).map(|user| format!("user{user}")).collect();
    let accounts: Vec<String> = (0..60).map(|account| format!("account{account}")).collect();
    let jobs: Vec<String> = (0..year.users * year.jobs).map(|job| format!("{day}{job:06}")).collect();
    let hosts: Vec<String> = (0..1000).map(|host| format!("n{host}")).collect();
    let mut cpu_us = 0;
    let mut tallies: Vec<SumTally<'_>> = Vec::new();
    for (job, name) in jobs.iter().enumerate() {
        let user = job / year.jobs as usize;
        // Most of a user's jobs are alike.
        let account = (user + usize::from(numbers.below(10) == 0)) % accounts.len();
        let partition = (user + usize::from(numbers.below(5) == 0)) % 3;
        for _ in 0..year.programs_of_job {
            // Shells and tools that all have in common, and a few programs of their own.
            let program = match numbers.below(3) {
                0 => (user as u64 * 7 + numbers.below(8)) % year.programs,
                _ => numbers.below(30) * numbers.below(30) / 30,
            };
            let first_ns = i64::from(day) * DAY_NS + numbers.below(40_000_000_000_000) as i64;
            let ended = EndSum {
                processes: year.processes,
                cpu_us: numbers.below(1 << 36),
                wall_us: numbers.below(1 << 36),
            };
            cpu_us += ended.cpu_us;
            tallies.push(SumTally {
                key: SumKey {
                    day,
                    program,
                    user: users[user].as_bytes(),
                    cluster: [&b"alpha"[..], b"beta"][user % 2],
                    account: accounts[account].as_bytes(),
                    partition: [&b"short"[..], b"long", b"gpu"][partition],
                    ..SumKey::default()
                },
                job: name.as_bytes(),
                host: hosts[job % hosts.len()].as_bytes(),
                facts: JobFacts { nodes: 2, tasks: 64, cpus_per_task: 1, ..JobFacts::default() },
                first_ns,
                last_ns: first_ns + 3_600_000_000_000,
                processes: year.processes,
                ends: Some((Status::Completed, ended)),
                modules: Modules::Names([&b"gcc/13\0"[..], b"gcc/13\0mpi/4\0", b"gcc/12\0mpi/4\0"][user % 3]),
                ..SumTally::default()
            });
        }
    }
    let mut writes = store.database.writes();
    let added = sums::add(&store, &mut writes, &mut tallies, |_, _| true).unwrap();
    let rows = store.row_count.get().unwrap() + added.new;
    writes.set(&store.row_count, rows);
    writes.commit().unwrap();
    cpu_us
}

fn memory_kb(key: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn disk_mb(folder: &std::path::Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| match entry.metadata().unwrap() {
            about if about.is_dir() => disk_mb(&entry.path()),
            about => about.len() >> 20,
        })
        .sum()
}

#[tokio::test]
async fn a_year_is_reported_in_a_second() {
    let is_full = env::var("OGRT_TEST_FULL").is_ok_and(|value| value == "1");
    let year = match is_full {
        true => Year { days: 365, users: 400, programs: 3000, jobs: 3, programs_of_job: 6, processes: 40 },
        false => Year { days: 64, users: 20, programs: 100, jobs: 2, programs_of_job: 3, processes: 10 },
    };
    let directory = tempfile::tempdir().unwrap();
    let config = Config { data_dir: directory.path().to_owned(), ..Config::default() };
    let store = Store::open(&config.data_dir).unwrap();
    let (shared, _inlets) = Shared::open(config, store, Shutdown::new()).unwrap();
    let mut writes = shared.store.uses().database.writes();
    for program in 0..year.programs {
        let path = format!("/opt/code{}/{program}/bin/run", program % 97).into_bytes();
        let bytes = Program { path, ..Program::default() }.bytes();
        writes.insert(&shared.store.uses().programs, program.to_be_bytes(), bytes);
    }
    writes.commit().unwrap();
    let (mut numbers, mut cpu_us, filled) = (Numbers(20_261_130), 0, Instant::now());
    for day in FIRST..FIRST + year.days {
        cpu_us += add_day(&shared, &year, day, &mut numbers);
    }
    let sums = shared.store.uses().sums;
    let [days, months] = [&sums.rows, &sums.months].map(|table| table.iter().count());
    println!(
        "{} processes: {days} rows of days, {months} of months, added in {:?}, {} MB on disk",
        year.processes(),
        filled.elapsed(),
        disk_mb(directory.path())
    );

    let reports = Reports::new(shared.uses.clone(), shared.registry.clone(), shared.names.clone());
    let ask = |by: &[ReportKey]| {
        let question = ReportQuestion { by: by.to_vec(), top: 100, ..ReportQuestion::default() };
        let since = Instant::now();
        let report = reports.report(&question).unwrap();
        let elapsed = since.elapsed();
        assert_eq!(report.answer["total"]["processes"], year.processes());
        assert_eq!(report.answer["total"]["cpu_us"], cpu_us);
        (elapsed, report.answer["lines_in_all"].as_u64().unwrap())
    };
    ask(&[]);
    let before_kb = memory_kb("VmRSS");
    // By month and by what has no time; and by day or week, which reads each day.
    let mut slowest = [(Duration::ZERO, ReportKey::Software, ReportKey::Software); 2];
    for (place, first) in ReportKey::ALL.into_iter().enumerate() {
        for second in ReportKey::ALL.into_iter().skip(place + 1) {
            // Packages are told by ends alone, and there are none here; hosts go with few others.
            let is_told = ReportKey::not_by_host(&[first, second]).is_none();
            if [first, second].contains(&ReportKey::Package) || !is_told {
                continue;
            }
            let (elapsed, lines) = ask(&[first, second]);
            if elapsed > Duration::from_millis(500) {
                println!("{}, {}: {lines} lines in {elapsed:?}", first.text(), second.text());
            }
            let reads_days =
                [first, second].iter().any(|key| [ReportKey::Day, ReportKey::Week].contains(key));
            let slowest = &mut slowest[usize::from(reads_days)];
            *slowest = (elapsed, first, second).max(*slowest);
        }
    }
    let [by_month, by_day] = slowest;
    println!("slowest: {by_month:?}, {by_day:?}; {} MB more memory", (memory_kb("VmHWM") - before_kb) >> 10);
    let is_measured = is_full && !cfg!(debug_assertions);
    assert!(!is_measured || by_month.0 < Duration::from_secs(1), "{by_month:?}");
    assert!(!is_measured || by_day.0 < Duration::from_secs(5), "{by_day:?}");
}
