//! The server's totals, held against what is in its tables whenever the database was opened.

use crate::{
    database::{Store, SumsStore, Table, number},
    sums::{self, HostKey, ListedJob, SumKey, SumRow, UNKNOWN_PROGRAM, job_list},
};
use anyhow::{Context, Result, ensure};
use bytes::Buf;
use std::collections::{BTreeMap, BTreeSet};

/// Compares each total with what it counts, and tables that follow from each other.
pub fn check(store: &Store) -> Result<()> {
    jobs(store)?;
    uses(store)?;
    registry(store)?;
    queue(store)
}

fn keys(table: &Table) -> Result<Vec<Vec<u8>>> {
    let mut keys = Vec::new();
    for entry in table.iter() {
        keys.push(entry.key()?.to_vec());
    }
    Ok(keys)
}

/// The log of what was kept of jobs names each value, and the totals are the sums of its bytes.
fn jobs(store: &Store) -> Result<()> {
    let jobs = store.jobs();
    let (mut bytes, mut logged, mut senders) = (0, BTreeSet::new(), BTreeMap::<Vec<u8>, u64>::new());
    for entry in jobs.log.iter() {
        let (key, value) = entry.into_inner()?;
        let mut log = &value[8..];
        let of_batch = log.get_u64();
        bytes += of_batch;
        *senders.entry(key[2..key.len() - 8].to_vec()).or_default() += of_batch;
        while log.has_remaining() {
            let len = usize::from(log.get_u16());
            logged.insert(log[..len].to_vec());
            log.advance(len);
        }
    }
    let mut said = BTreeMap::new();
    for entry in jobs.senders.iter() {
        let (sender, bytes) = entry.into_inner()?;
        said.insert(sender.to_vec(), number(&bytes));
    }
    ensure!(said == senders, "jobs: senders have {said:?}, and {senders:?} is logged");
    ensure!(jobs.bytes.get()? == bytes, "jobs: {} bytes are said, {bytes} are logged", jobs.bytes.get()?);
    let values: BTreeSet<Vec<u8>> = keys(&jobs.values)?.into_iter().collect();
    ensure!(values == logged, "jobs: {} values, {} in the log", values.len(), logged.len());
    Ok(())
}

/// Programs have one number each, and are found by their signatures; rows are as many as is said.
fn uses(store: &Store) -> Result<()> {
    let uses = store.uses();
    let programs: BTreeSet<u64> = keys(&uses.programs)?.iter().map(|key| number(key)).collect();
    let mut numbers = BTreeSet::new();
    for entry in uses.program_numbers.iter() {
        ensure!(numbers.insert(number(&entry.value()?)), "uses: two programs have one number");
    }
    ensure!(numbers == programs, "uses: programs {programs:?}, numbers {numbers:?}");
    for entry in uses.program_starts.iter() {
        let (key, value) = entry.into_inner()?;
        let (program, other) = match key.len() {
            16 => (number(&value), [&value[..], &key].concat()),
            _ => (number(&key[..8]), key[8..].to_vec()),
        };
        let is_whole = programs.contains(&program) && uses.program_starts.get(other)?.is_some();
        ensure!(is_whole, "uses: a start of program {program} has no counterpart");
    }
    let said = uses.program_count.get()?;
    ensure!(said == programs.len() as u64, "uses: {said} programs are said, {} are there", programs.len());
    let next = uses.next_program.get()?;
    ensure!(programs.iter().all(|program| *program < next), "uses: the next program {next} is there");
    // Or it is a mark of what is missing.
    let is_there = |program: &[u8]| programs.contains(&number(program)) || number(program) == u64::MAX;
    for key in keys(&uses.programs_with)? {
        ensure!(is_there(&key[16..]), "uses: a signature of a program that is not there");
    }
    let objects: BTreeSet<u64> = keys(&uses.objects)?.iter().map(|key| number(key)).collect();
    let said = uses.object_count.get()?;
    ensure!(said == objects.len() as u64, "uses: {said} objects are said, {} are there", objects.len());
    for key in keys(&uses.programs_with_object)? {
        ensure!(objects.contains(&number(&key)), "uses: an object that is not there has a program");
        ensure!(is_there(&key[8..]), "uses: an object of a program that is not there");
    }
    for key in keys(&uses.object_index)? {
        let object = match key[0] {
            b's' | b'i' | b'm' => continue,
            b'd' => number(&uses.object_index.get(&key)?.context("a key without its value")?),
            _ => number(&key[key.len() - 8..]),
        };
        ensure!(objects.contains(&object), "uses: an object is found that is not there");
    }
    let (wholes, rows): (Vec<_>, Vec<_>) = keys(&uses.rows)?.into_iter().partition(|key| key.len() == 8);
    let said = uses.row_count.get()?;
    ensure!(said == rows.len() as u64, "uses: {said} rows are said, {} are there", rows.len());
    let sums = &uses.sums;
    hosts(sums)?;
    let tables = [&sums.rows, &sums.months, &sums.hosts, &sums.host_months, &sums.jobs];
    let of_sums = tables.into_iter().map(|table| Ok(keys(table)?.len())).sum::<Result<usize>>()?;
    // Each digest stands there twice.
    let of_sums = of_sums + keys(&sums.digests)?.len() / 2;
    let said = sums.row_count.get()?;
    ensure!(said == of_sums as u64, "sums: {said} rows are said, {of_sums} are there");
    let mut mentioned: BTreeMap<u64, u64> = BTreeMap::new();
    for key in keys(&sums.rows)?.iter().chain(&keys(&sums.months)?) {
        let row = SumKey::read(key).context("sums: a row cannot be read")?;
        for program in [Some(row.program), row.later_program()].into_iter().flatten() {
            *mentioned.entry(program).or_default() += 1;
        }
    }
    mentioned.remove(&UNKNOWN_PROGRAM);
    for entry in sums.programs.iter() {
        let (key, value) = entry.into_inner()?;
        let rows = mentioned.remove(&number(&key));
        ensure!(rows == Some(number(&value)), "sums: a program is named by {rows:?} rows");
        let has_name = programs.contains(&number(&key)) || value.len() > 8;
        ensure!(has_name, "sums: a program without a name");
    }
    ensure!(mentioned.is_empty(), "sums: programs {mentioned:?} are named, and not counted");
    let is_record = |key: &&Vec<u8>| key[0] == b'r';
    let records: BTreeSet<Vec<u8>> =
        keys(&uses.sums.jobs)?.iter().filter(is_record).map(|key| key[1..].to_vec()).collect();
    let mut listed = BTreeSet::new();
    for entry in uses.sums.job_list.range(job_list::begin()..) {
        let (key, value) = entry.into_inner()?;
        let job = ListedJob::read(&key, &value).context("a job in the list cannot be read")?;
        let record = sums::record(&uses.sums, job.record)?.context("a job in the list has no record")?;
        let is_same = (job.first_ns, job.last_ns) == (record.first_ns(), record.last_ns());
        ensure!(is_same, "uses: the list of jobs has {job:?}, and the record has {record:?}");
        ensure!(listed.insert(job.record.to_vec()), "uses: {job:?} is in the list of jobs twice");
    }
    ensure!(listed == records, "uses: {} jobs have a record, {} are listed", records.len(), listed.len());
    let wholes: BTreeSet<u64> = wholes.iter().map(|key| number(key)).collect();
    ensure!(wholes == programs, "uses: programs {programs:?}, with whole counts {wholes:?}");
    for row in &rows {
        ensure!(programs.contains(&number(row)), "uses: a row of a program that is not there");
    }
    for (letter, there) in
        [(b'p', programs.len()), (b'o', objects.len()), (b'r', rows.len()), (b's', of_sums)]
    {
        let mut shares = 0;
        for entry in uses.senders.prefix([letter]) {
            shares += number(&entry.value()?);
        }
        ensure!(shares == there as u64, "uses: senders have {shares} of {there} {}", char::from(letter));
    }
    Ok(())
}

/// Hosts have of each day, and of each month, what users have.
fn hosts(sums: &SumsStore) -> Result<()> {
    for (rows, hosts) in [(&sums.rows, &sums.hosts), (&sums.months, &sums.host_months)] {
        let [mut by_user, mut by_host] = [(); 2].map(|()| BTreeMap::<u16, SumRow>::new());
        for entry in rows.iter() {
            let (key, value) = entry.into_inner()?;
            let day = SumKey::read(&key).context("sums: a row cannot be read")?.day;
            let row = SumRow::read(&value).context("sums: a row's value cannot be read")?;
            by_user.entry(day).or_default().merge(SumRow { node_us: 0, core_us: 0, ..row });
        }
        for entry in hosts.iter() {
            let (key, value) = entry.into_inner()?;
            let day = HostKey::read(&key).context("sums: a host cannot be read")?.day;
            let mut value = &value[..];
            sums::take_holder(&mut value).context("sums: a host without a holder")?;
            by_host
                .entry(day)
                .or_default()
                .merge(SumRow::read(value).context("sums: a host's value cannot be read")?);
        }
        ensure!(by_user == by_host, "sums: by user {by_user:?}, by host {by_host:?}");
    }
    Ok(())
}

/// Each build has its record, and there are as many as is said.
fn registry(store: &Store) -> Result<()> {
    let registry = store.registry();
    let mut builds = BTreeSet::new();
    for entry in registry.builds.iter() {
        ensure!(builds.insert(number(&entry.value()?)), "registry: two builds have one number");
    }
    let records: BTreeSet<u64> = keys(&registry.records)?.iter().map(|key| number(key)).collect();
    ensure!(builds == records, "registry: builds {builds:?}, records {records:?}");
    let said = registry.count.get()?;
    ensure!(said == builds.len() as u64, "registry: {said} builds are said, {} are there", builds.len());
    Ok(())
}

/// Batches are there without a gap, and what they skip is remembered no longer than they are.
fn queue(store: &Store) -> Result<()> {
    let batches: Vec<u64> = keys(&store.queue().batches)?.iter().map(|key| number(key)).collect();
    let Some((first, last)) = batches.first().zip(batches.last()) else { return Ok(()) };
    ensure!(last - first + 1 == batches.len() as u64, "queue: batches are missing: {batches:?}");
    for entry in store.queue().offsets.iter() {
        let (key, value) = entry.into_inner()?;
        let (name, offset) = (String::from_utf8_lossy(&key).into_owned(), number(&value));
        ensure!(
            name.contains('\0') || (*first..=last + 1).contains(&offset),
            "queue: {name} goes on at {offset}, batches are {first} to {last}"
        );
    }
    for key in keys(&store.held().skipped)? {
        ensure!(batches.contains(&number(&key)), "queue: skipped entries of a batch that is not there");
    }
    Ok(())
}
