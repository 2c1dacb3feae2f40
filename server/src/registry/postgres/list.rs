//! A page of builds: intersects what the terms find, a few runs at a time, the newest first.
//!
//! The work for one page is bounded. A page that the bound ends early says where to go on.

use super::{
    index,
    read::{brief, one_moment, walk},
};
use crate::registry::{BuildFilter, DEPTH_MAX, ListCursor, ListedBuild, Page, error::Result};
use tokio_postgres::{Client, Transaction, types::ToSql};

/// How many runs are read at once.
const RUNS_AT_ONCE: usize = 8;

/// How many builds are read at once, and how many one page looks at.
const AT_ONCE: usize = 1000;
const LOOKED_AT_MAX: usize = 20_000;

/// The page that the filter asks for.
pub async fn page(client: &mut Client, filter: &BuildFilter) -> Result<Page> {
    let client = one_moment(client).await?;
    let mut filling =
        PageInProgress { client: &client, filter, page: Page::default(), last: None, looked_at: 0 };
    if filter.terms.is_empty() && filter.containing.is_none() {
        filling.by_time().await?;
    } else {
        filling.by_number().await?;
    }
    Ok(filling.page)
}

struct PageInProgress<'a> {
    client: &'a Transaction<'a>,
    filter: &'a BuildFilter,
    page: Page,
    last: Option<ListCursor>,
    looked_at: usize,
}

impl PageInProgress<'_> {
    async fn by_time(&mut self) -> Result<()> {
        let mut where_all = "true".to_owned();
        let cursor = self.filter.after.map(|cursor| (cursor.time_ns, number_of(cursor)));
        let (time_ns, number) = cursor.unwrap_or((i64::MAX, i64::MAX));
        let mut values: Vec<&(dyn ToSql + Sync)> = Vec::new();
        if cursor.is_some() {
            where_all += " AND (time_ns, number) < ($1, $2)";
            values.extend([&time_ns as &(dyn ToSql + Sync), &number]);
        }
        let select = self.select(&where_all, "time_ns DESC, number DESC", &mut values);
        let limit = self.filter.limit as i64 + 1;
        values.push(&limit);
        let rows = self.client.query(&select, &values).await?;
        self.take(rows)?;
        Ok(())
    }

    async fn by_number(&mut self) -> Result<()> {
        let before = self.filter.after.map_or(i64::MAX, number_of);
        let mut walked = None;
        if let Some(part) = self.filter.containing {
            let walk = walk(self.client, part, DEPTH_MAX).await?;
            self.page.is_cut = walk.is_cut;
            let mut numbers: Vec<i64> = walk.builds.into_iter().map(|(number, _)| number).collect();
            numbers.retain(|number| *number < before);
            numbers.sort_unstable_by(|a, b| b.cmp(a));
            walked = Some(numbers);
        }
        let terms = &self.filter.terms;
        if let (Some(walked), true) = (&walked, terms.is_empty()) {
            self.look_at(walked).await?;
            return Ok(());
        }
        let runs = index::runs(self.client, before).await?;
        for some in runs.chunks(RUNS_AT_ONCE) {
            let found = index::numbers(self.client, terms, some).await?;
            for run in some {
                let mut lists: Vec<&[i64]> = Vec::new();
                for place in 0..terms.len() {
                    lists.push(found.get(&(place, run.first)).map_or(&[], Vec::as_slice));
                }
                lists.sort_by_key(|list| list.len());
                let Some((rarest, others)) = lists.split_first() else { return Ok(()) };
                let fits = |number: &i64| {
                    *number < before
                        && others.iter().all(|list| list.binary_search(number).is_ok())
                        && walked
                            .as_ref()
                            .is_none_or(|walked| walked.binary_search_by(|other| number.cmp(other)).is_ok())
                };
                let numbers: Vec<i64> = rarest.iter().rev().copied().filter(|n| fits(n)).collect();
                if !self.look_at(&numbers).await? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Takes builds into the page, in this descending order; false when the page is done.
    async fn look_at(&mut self, numbers: &[i64]) -> Result<bool> {
        for some in numbers.chunks(AT_ONCE) {
            if self.looked_at >= LOOKED_AT_MAX {
                self.page.next = self.last;
                return Ok(false);
            }
            self.looked_at += some.len();
            let mut values: Vec<&(dyn ToSql + Sync)> = vec![&some];
            let select = self.select("number = ANY($1)", "number DESC", &mut values);
            let limit = (self.filter.limit - self.page.builds.len()) as i64 + 1;
            values.push(&limit);
            let rows = self.client.query(&select, &values).await?;
            if !self.take(rows)? {
                return Ok(false);
            }
            self.last = some.last().map(|number| ListCursor { time_ns: 0, number: *number as u64 });
        }
        Ok(true)
    }

    /// The statement with the conditions on time. The limit is its last value.
    fn select<'a>(
        &'a self,
        where_all: &str,
        order: &str,
        values: &mut Vec<&'a (dyn ToSql + Sync)>,
    ) -> String {
        let mut where_all = where_all.to_owned();
        if let Some(since) = &self.filter.since_ns {
            values.push(since);
            where_all += &format!(" AND time_ns >= ${}", values.len());
        }
        if let Some(until) = &self.filter.until_ns {
            values.push(until);
            where_all += &format!(" AND time_ns < ${}", values.len());
        }
        let limit = values.len() + 1;
        format!("SELECT number, brief FROM builds WHERE {where_all} ORDER BY {order} LIMIT ${limit}")
    }

    /// Adds rows to the page; false when it is full.
    fn take(&mut self, rows: Vec<tokio_postgres::Row>) -> Result<bool> {
        for row in rows {
            if self.page.builds.len() >= self.filter.limit {
                self.page.next = self.last;
                return Ok(false);
            }
            let brief = brief(row.get(1))?;
            self.last = Some(ListCursor { time_ns: brief.time_ns(), number: row.get::<_, i64>(0) as u64 });
            self.page.builds.push(ListedBuild::of(&brief));
        }
        Ok(true)
    }
}

fn number_of(cursor: ListCursor) -> i64 {
    i64::try_from(cursor.number).unwrap_or(i64::MAX)
}
