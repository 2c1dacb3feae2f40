//! Sums that are made again from the events that are kept: the same as those that were counted when
//! the events came.

use super::books;
use crate::{
    config::Config,
    database::{Store, Table},
    rebuild_sums,
};
use anyhow::{Result, ensure};
use std::collections::BTreeMap;

/// Keys and values of each table.
type Tables = Vec<BTreeMap<Vec<u8>, Vec<u8>>>;

/// Makes the sums of a run again: as they are, and when they were damaged.
pub fn check(config: &Config) -> Result<()> {
    let counted = tables(config)?;
    let (is_same, told) = rebuild(config, true)?;
    ensure!(is_same, "they differ:\n{told}");
    ensure!(tables(config)? == counted, "a trial has changed something");
    rebuild(config, false)?;
    let made = tables(config)?;
    ensure!(rebuild(config, true)?.0, "they differ at once");

    damage(config)?;
    let has_sums = made.iter().any(|table| !table.is_empty());
    ensure!(!has_sums || !rebuild(config, true)?.0, "what is damaged is taken for right");
    rebuild(config, false)?;
    ensure!(tables(config)? == made, "they are not as they were before the damage");
    books::check(&Store::open(&config.data_dir)?)
}

fn rebuild(config: &Config, is_trial: bool) -> Result<(bool, String)> {
    let mut told = Vec::new();
    let is_same = rebuild_sums(config, is_trial, &mut told)?;
    Ok((is_same, String::from_utf8(told)?))
}

/// The tables that follow from events, in the order of the list below.
fn tables(config: &Config) -> Result<Tables> {
    let store = Store::open(&config.data_dir)?;
    let read = |table: &Table| {
        let mut rows = BTreeMap::new();
        for entry in table.iter() {
            let (key, value) = entry.into_inner()?;
            rows.insert(key.to_vec(), value.to_vec());
        }
        Ok(rows)
    };
    of_sums(&store).iter().map(read).collect()
}

fn of_sums(store: &Store) -> [Table; 7] {
    let sums = store.uses().sums;
    [sums.rows, sums.months, sums.hosts, sums.host_months, sums.jobs, sums.job_list, sums.programs]
}

/// Changes the first value of each table but the last. Numbers of jobs are not made again.
fn damage(config: &Config) -> Result<()> {
    let store = Store::open(&config.data_dir)?;
    let mut writes = store.uses().sums.database.writes();
    for table in &of_sums(&store)[..6] {
        let mut values = table.range([b'n' + 1]..).chain(table.iter());
        if let Some(first) = values.next() {
            let (key, value) = first.into_inner()?;
            let mut value = value.to_vec();
            *value.last_mut().expect("no value is empty") ^= 1;
            writes.insert(table, key, value);
        }
    }
    Ok(writes.commit()?)
}
