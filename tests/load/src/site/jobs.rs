//! The jobs of a site: a script, what it calls on its way, and the ranks of its main program.

use super::{End, Numbers, Site, SiteProcess, software::Origin};

const SECOND_NS: i64 = 1_000_000_000;

/// A job before its processes are made.
#[derive(Clone, Debug)]
pub struct JobPlan {
    pub job: Option<u64>,
    pub array: Option<(u64, u32)>,
    pub user: u16,
    pub account: u8,
    pub cluster: u8,
    pub partition: u8,
    pub nodes: u32,
    /// The main program.
    pub main: u32,
    pub ranks: u32,
    pub commands: u64,
    /// How the main program ends: every rank of it, or this rank alone.
    pub end: End,
    pub failing_rank: Option<u32>,
    pub start_moment: u32,
    pub end_moment: u32,
    pub is_claimed: bool,
}

impl Site {
    /// The codes that each user runs: programs by their weights.
    fn favourites(&self, numbers: &mut Numbers) -> Vec<[u32; 4]> {
        let is_main = |index: &usize| self.programs[*index].code.weight > 0 && !self.is_command(*index);
        let of_owner = |index: usize, user: usize| match self.programs[index].code.origin {
            Origin::Unknown | Origin::Hostile => self.programs[index].owner == Some(user),
            _ => true,
        };
        let mut favourites = Vec::new();
        for user in 0..self.size.users {
            let own: Vec<usize> =
                (0..self.programs.len()).filter(is_main).filter(|index| of_owner(*index, user)).collect();
            let all: u64 = own.iter().map(|index| self.programs[*index].code.weight).sum();
            favourites.push([(); 4].map(|()| {
                let mut at = numbers.below(all);
                for index in &own {
                    match at.checked_sub(self.programs[*index].code.weight) {
                        Some(rest) => at = rest,
                        None => return *index as u32,
                    }
                }
                0
            }));
            // Who gives hostile names does so whatever the seed.
            if let Some(index) =
                own.iter().find(|index| self.programs[**index].code.origin == Origin::Hostile)
            {
                favourites[user] = [0, 1, 2, 3].map(|offset| index + offset).map(|index| index as u32);
            }
        }
        favourites
    }

    fn is_command(&self, index: usize) -> bool {
        index >= self.first_command()
    }

    /// The first of the programs that scripts call. The shell is the last one.
    fn first_command(&self) -> usize {
        self.programs.len() - 1 - super::software::COMMANDS.len()
    }

    /// Adds all jobs but the landmarks.
    pub(super) fn add_jobs(&mut self, numbers: &mut Numbers) {
        let favourites = self.favourites(numbers);
        let moments = self.size.moments.len() as u64;
        for job in 0..self.size.jobs {
            let moment = numbers.below(moments) as u32;
            let user = numbers.skewed(self.size.users);
            let main = favourites[user][numbers.skewed(4)];
            let main = self.version_of_time(main, u64::from(moment) * 100 / moments);
            let most = u64::from(self.programs[main as usize].code.ranks);
            let cluster = numbers.below(2) as u8;
            let later = if numbers.once_in(4) { 1 + numbers.below(3) as u32 } else { 0 };
            let is_late = u64::from(moment) + (moments / 50).max(1) >= moments;
            let end = match numbers.below(40) {
                // It runs still.
                34.. if is_late => End::Open,
                0..=2 => End::Exit(1 + numbers.below(3) as u8),
                3 => End::Signal(11),
                4 => End::Signal(6),
                // The scheduler's, at the time limit.
                5 | 6 => End::Signal(15),
                7 => End::OutOfMemory,
                8 => End::Unseen,
                _ => End::Exit(0),
            };
            let ranks = 1 + numbers.below(most) as u32;
            let plan = JobPlan {
                job: (!numbers.once_in(12)).then_some(100_000 + job),
                array: None,
                user: user as u16,
                account: ((user + numbers.below(2) as usize) % self.size.accounts) as u8,
                cluster,
                partition: numbers.below(3) as u8,
                nodes: 1 + ranks / 4,
                main,
                ranks,
                commands: numbers.below(6),
                failing_rank: numbers.once_in(2).then(|| numbers.below(u64::from(ranks)) as u32),
                end,
                start_moment: moment,
                end_moment: (moment + later).min(moments as u32 - 1),
                is_claimed: numbers.once_in(30),
            };
            self.add_job(&plan, numbers);
        }
    }

    /// The other version of a program, where this one is not yet there or not any longer.
    fn version_of_time(&self, program: u32, percent: u64) -> u32 {
        let known = &self.programs[program as usize];
        match (known.is_old, known.code.versions.len()) {
            (true, 2) if percent > 80 => program + 1,
            (false, 2) if percent < 40 => program - 1,
            _ => program,
        }
    }

    /// Adds the processes of a job.
    pub(super) fn add_job(&mut self, plan: &JobPlan, numbers: &mut Numbers) {
        let is_short = plan.end_moment == plan.start_moment;
        let moment_ns = |moment: u32| self.size.moments[moment as usize] * SECOND_NS;
        let start_ns = moment_ns(plan.start_moment) - 500 * SECOND_NS + numbers.below(90_000_000_000) as i64;
        // A clock is believed within ten minutes of the receipt.
        let main_ns = start_ns + 20 * SECOND_NS;
        let main_end_ns = match is_short {
            true => main_ns + 1 + numbers.below(280_000_000_000) as i64,
            false => moment_ns(plan.end_moment) - 400 * SECOND_NS + numbers.below(300_000_000_000) as i64,
        };
        let shell = self.processes.len() as u64;
        let template = SiteProcess {
            number: shell,
            program: self.programs.len() as u32 - 1,
            main: plan.main,
            user: plan.user,
            account: plan.account,
            cluster: plan.cluster,
            partition: plan.partition,
            job: plan.job,
            array: plan.array,
            nodes: plan.nodes,
            tasks: plan.ranks,
            start_ns,
            end_ns: main_end_ns + 30 * SECOND_NS,
            cpu_us: numbers.below(200_000),
            end: match plan.end {
                End::Signal(15) => End::Signal(15),
                End::Signal(number) => End::Exit(128 + number),
                End::OutOfMemory => End::Exit(137),
                other => other,
            },
            start_moment: plan.start_moment,
            end_moment: plan.end_moment,
            rank: None,
            parent: None,
            is_claimed: plan.is_claimed,
        };
        self.processes.push(template.clone());
        for command in 0..plan.commands {
            let first = self.first_command();
            let program = (first + numbers.skewed(super::software::COMMANDS.len())) as u32;
            let begin = start_ns + command as i64 * 2 * SECOND_NS + numbers.below(1_000_000_000) as i64;
            let end = match numbers.below(30) {
                0 => End::Exit(1),
                1 => End::Exec,
                2 => End::Signal(13),
                _ => End::Exit(0),
            };
            self.processes.push(SiteProcess {
                number: self.processes.len() as u64,
                program,
                start_ns: begin,
                end_ns: begin + 1 + numbers.below(900_000_000) as i64,
                cpu_us: if end == End::Exec { 0 } else { numbers.below(800_000) },
                end,
                // Its end comes at once.
                end_moment: plan.start_moment,
                parent: Some(shell),
                ..template.clone()
            });
        }
        let knows_mpi = self.programs[plan.main as usize].code.ranks > 1;
        for rank in 0..plan.ranks {
            let wall_us = ((main_end_ns - main_ns) / 1000) as u64;
            let is_failing = plan.failing_rank.is_none_or(|failing| failing == rank);
            let end = match plan.end {
                end @ (End::Exit(1..) | End::Signal(11) | End::OutOfMemory) if is_failing => end,
                End::Exit(1..) | End::Signal(11) | End::OutOfMemory => End::Signal(9),
                other => other,
            };
            self.processes.push(SiteProcess {
                number: self.processes.len() as u64,
                program: plan.main,
                start_ns: main_ns + i64::from(rank) * 50_000,
                end_ns: main_end_ns + 1_000_000_000 + i64::from(rank) * 20_000,
                cpu_us: wall_us / 100 * (70 + numbers.below(28)) + numbers.below(1000),
                end,
                rank: knows_mpi.then_some((rank, plan.ranks)),
                parent: Some(shell),
                ..template.clone()
            });
        }
    }
}
