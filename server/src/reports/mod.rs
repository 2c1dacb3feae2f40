//! Reports: what was used in a period, by software, user, account and so on.
//!
//! A report is made when somebody asks, from the sums of each day, or month ([`crate::sums`]): rows
//! of the period are walked once, each is put under its values of the keys ([`keys`], [`names`])
//! and added up ([`totals`]). The names of software are those of that moment: the registry's, else
//! what is learned of a file. So a build that is registered late has its name for the past, too.
//! A row may have several libraries, packages and modules ([`sets`]), and counts for each.
//! What hosts have stands in rows of their own ([`by_host`]). The list of jobs ([`job_list`])
//! stands beside it.

mod by_host;
mod job_list;
mod job_union;
mod keys;
mod names;
mod number_hash;
mod period;
mod row_sets;
mod sets;
mod totals;

pub use job_list::JobListQuestion;
pub use keys::{KEYS_MAX, ReportKey};

use crate::{
    clock::now_ns,
    database::{Table, TableIter},
    dates::{self, DAY_NS, day_number},
    learned::SoftwareNames,
    registry::Registry,
    sums::{SumRow, days_since, hosts_since_ns, limited_processes},
    uses::{Uses, UsesError},
};
use by_host::read_row;
use names::{Line, Names};
use number_hash::NumberMap;
use period::Period;
use serde_json::{Value, json};
use std::{cmp::Reverse, collections::BTreeSet, ops::Range, sync::Arc};
use totals::Totals;

/// Most lines that are added up; further ones are in the total alone.
const LINES_MAX: usize = 100_000;

/// What a report is asked for.
#[derive(Clone, Debug, Default)]
pub struct ReportQuestion {
    /// One line for each combination of their values.
    pub by: Vec<ReportKey>,
    /// What a process must have to count; each key once.
    pub only: Vec<(ReportKey, String)>,
    /// Only programs whose build is registered, or only others.
    pub registered: Option<bool>,
    /// What the lines are ordered by, the largest first.
    pub order: Order,
    /// The period, in Unix nanoseconds. It is whole days, by UTC.
    pub since_ns: Option<i64>,
    pub until_ns: Option<i64>,
    /// Most lines.
    pub top: usize,
}

/// Rows of these days.
fn range(table: &Table, days: Range<u16>) -> TableIter {
    table.range(days.start.to_be_bytes()..days.end.to_be_bytes())
}

impl ReportQuestion {
    /// All keys that it names.
    pub fn keys(&self) -> Vec<ReportKey> {
        self.by.iter().chain(self.only.iter().map(|(key, _)| key)).copied().collect()
    }

    /// Hosts are told apart, in rows of their own.
    pub fn tells_hosts(&self) -> bool {
        self.keys().contains(&ReportKey::Host)
    }

    /// Days are told apart.
    fn tells_days(&self) -> bool {
        self.keys().into_iter().any(|key| matches!(key, ReportKey::Day | ReportKey::Week))
    }

    /// The keys that are sets.
    fn sets(&self) -> impl Iterator<Item = ReportKey> {
        self.keys().into_iter().filter(|key| key.is_set())
    }
}

/// What lines are ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// CPU time.
    #[default]
    Cpu,
    /// Node time.
    Node,
    /// The time from start to end.
    Wall,
    Processes,
}

/// A report; docs/api.md explains each key.
pub struct Report {
    pub answer: Value,
    /// Something that should be in it is not.
    pub is_cut: bool,
}

/// Makes reports.
pub struct Reports {
    uses: Arc<Uses>,
    registry: Arc<dyn Registry>,
    software: Arc<SoftwareNames>,
}

impl Order {
    /// The name in questions and answers.
    pub fn text(self) -> &'static str {
        match self {
            Order::Cpu => "cpu",
            Order::Node => "node",
            Order::Wall => "wall",
            Order::Processes => "processes",
        }
    }

    /// The order of this name.
    pub fn read(text: &str) -> Option<Order> {
        [Order::Cpu, Order::Node, Order::Wall, Order::Processes].into_iter().find(|one| one.text() == text)
    }
}

impl Reports {
    /// Reports of what these have.
    pub fn new(uses: Arc<Uses>, registry: Arc<dyn Registry>, software: Arc<SoftwareNames>) -> Self {
        Reports { uses, registry, software }
    }

    /// Waits, not long, until what was received before is in the sums.
    pub async fn catch_up(&self) -> Option<i64> {
        self.uses.catch_up().await
    }

    /// Names as they are at this moment.
    fn names(&self) -> Names<'_> {
        self.software.catch_up();
        Names::new(&self.uses, &*self.registry, &self.software)
    }

    /// Makes one.
    pub fn report(&self, question: &ReportQuestion) -> Result<Report, UsesError> {
        let first = day_number(question.since_ns.unwrap_or(0));
        let behind = question.until_ns.map_or(u16::MAX, |until| day_number(until.saturating_add(DAY_NS - 1)));
        let sums = self.uses.sums();
        let jobs = sums.next_job.get()?;
        let mut names = self.names();
        let mut lines: NumberMap<Line, Totals> = NumberMap::default();
        let (mut total, mut unregistered) = (Totals::new(jobs), Totals::new(jobs));
        let mut not_told = Totals::new(jobs);
        let sets: Vec<ReportKey> = question.sets().collect();
        let asks_packages = sets.contains(&ReportKey::Package);
        let needs_packages = question.only.iter().any(|(key, _)| *key == ReportKey::Package);
        let (mut is_cut, mut last_day) = (false, first);
        // Months of which only a part was asked for.
        let mut whole_months = BTreeSet::new();
        let period = Period::new(first, behind, days_since(sums)?, question.tells_days());
        let by_host = question.tells_hosts();
        let (days, months) =
            if by_host { (&sums.hosts, &sums.host_months) } else { (&sums.rows, &sums.months) };
        let months = period.months().flat_map(|period| range(months, period));
        let days = period.days().flat_map(|period| range(days, period));
        for (entry, is_month) in months.map(|row| (row, true)).chain(days.map(|row| (row, false))) {
            let (key, value) = entry.into_inner()?;
            let Some((key, host, mut rest)) = read_row(&key, &value, by_host) else { continue };
            let Some(mut row) = SumRow::read_sums(&mut rest) else { continue };
            let mut of_row = names.of(&key, is_month)?;
            of_row.host = names.raw(host);
            let is_registered = names.is_registered(&of_row);
            if question.registered.is_some_and(|wanted| wanted != is_registered) {
                continue;
            }
            if names.lacks(&of_row, &sets)? {
                not_told.add(&row, &of_row, rest, key.is_claimed);
            }
            if !names.fit(&of_row, &question.only)? {
                continue;
            }
            if is_month && (key.day < first || dates::last_of_month(key.day) >= behind) {
                whole_months.insert(dates::month(key.day));
            }
            last_day = last_day.max(key.day);
            // Only an end tells packages.
            if needs_packages {
                row.processes = 0;
            }
            let is_claimed = key.is_claimed || (asks_packages && of_row.sets.is_later_claimed);
            is_cut |= total.add(&row, &of_row, rest, is_claimed);
            if !is_registered {
                unregistered.add(&row, &of_row, rest, is_claimed);
            }
            if asks_packages {
                row.processes = 0;
            }
            for line in names.lines(&of_row, &question.by)? {
                if lines.len() < LINES_MAX || lines.contains_key(&line) {
                    let line = lines.entry(line).or_insert_with(|| Totals::new(jobs));
                    line.add(&row, &of_row, rest, is_claimed);
                } else {
                    is_cut = true;
                }
            }
        }
        // Shares are of what the lines are ordered by: CPU time, or the time from start to end.
        let all_us = total.shared_us(question.order);
        let count = lines.len();
        let mut lines: Vec<(Line, Totals)> = lines.into_iter().collect();
        let order = |(line, sum): &(Line, Totals)| {
            (
                Reverse(sum.rank(question.order)),
                Reverse(sum.processes()),
                names.texts(line, question.by.len()),
            )
        };
        lines.sort_by_cached_key(order);
        lines.truncate(question.top);
        let by_status = question.by.contains(&ReportKey::Status);
        let mut rows: Vec<Value> = Vec::new();
        for (line, sum) in &mut lines {
            let told = if by_status {
                sum.json_by_status(question.order, all_us)
            } else {
                vec![sum.json(question.order, all_us)]
            };
            for mut row in told {
                for (key, text) in question.by.iter().zip(names.texts(line, question.by.len())) {
                    if *key != ReportKey::Status {
                        row[key.text()] = text.into();
                    }
                }
                rows.push(row);
            }
        }
        let until = question.until_ns.map_or_else(
            || dates::date(last_day.max(day_number(now_ns()))),
            |_| dates::date(behind.saturating_sub(1)),
        );
        let lines_in_all = if by_status { rows.len() } else { count };
        let mut answer = json!({
            "by": question.by.iter().map(|key| key.text()).collect::<Vec<_>>(),
            "order": question.order.text(),
            "last_day": until,
            "lines": rows,
            "lines_in_all": lines_in_all,
            "total": total.json(question.order, all_us),
            "unregistered": unregistered.json(question.order, all_us),
        });
        if by_host {
            by_host::leave_out_unknown(&mut answer);
            if let Some(since_ns) = hosts_since_ns(sums)?.filter(|since| i64::from(first) * DAY_NS < *since) {
                answer["hosts_since_ns"] = since_ns.into();
                is_cut = true;
            }
        }
        let limited = limited_processes(sums, first..behind)?;
        if limited > 0 {
            answer["limited"] = limited.into();
        }
        if question.since_ns.is_some() {
            answer["first_day"] = dates::date(first).into();
        }
        if question.by.iter().any(|key| key.is_set()) {
            answer["lines_overlap"] = true.into();
        }
        if not_told.processes() > 0 {
            answer["not_told"] = not_told.json(question.order, 0);
        }
        if !whole_months.is_empty() {
            answer["whole_months"] = whole_months.into_iter().collect::<Vec<_>>().into();
        }
        Ok(Report { answer, is_cut })
    }
}
