//! Which builds were linked into which. A build's dependents are a packed list in parts, a part for
//! each group of registrations: a walk reads the millions of dependents of a common library at
//! once.

use super::{index, values::signature_uuid};
use crate::registry::{
    Part,
    error::Result,
    found_by::{self, Term},
    same_build,
};
use ogrt_note::Signature;
use ogrt_proto::BuildRecord;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    pin::pin,
};
use tokio_postgres::{GenericClient, Transaction, binary_copy::BinaryCopyInWriter, types::Type};
use uuid::Uuid;

/// Bytes of a number in a row, stored as its offset from the row's first number; and most numbers
/// in a new row.
const OFFSET: usize = 4;
const OFFSETS_MAX: usize = 450;

/// The builds that the inputs of some builds came out of.
#[derive(Default)]
pub struct InputBuilds {
    /// Pairs of a dependency and its dependent.
    pub links: BTreeSet<(i64, i64)>,
    /// Names of inputs that no build is registered for yet.
    pub unresolved: BTreeSet<Term>,
}

/// Finds the builds that the inputs of these came out of.
pub async fn behind(client: &impl GenericClient, builds: &[(i64, &BuildRecord)]) -> Result<InputBuilds> {
    let mut by_signature: HashMap<Uuid, Vec<i64>> = HashMap::new();
    let mut by_digest: HashMap<[u8; 32], Vec<i64>> = HashMap::new();
    for (number, record) in builds {
        for input in &record.inputs {
            for signature in found_by::signatures(input) {
                by_signature.entry(signature_uuid(signature)).or_default().push(*number);
            }
            if let Some(digest) = found_by::may_be_an_output(input) {
                by_digest.entry(digest).or_default().push(*number);
            }
        }
    }
    let mut behind = InputBuilds::default();
    let asked: Vec<&Uuid> = by_signature.keys().collect();
    let select = "SELECT number, signature FROM builds WHERE signature = ANY($1)";
    let rows = if asked.is_empty() { Vec::new() } else { client.query(select, &[&asked]).await? };
    for row in rows {
        let dependents = by_signature.remove(&row.get::<_, Uuid>(1)).into_iter().flatten();
        behind.links.extend(dependents.map(|dependent| (row.get(0), dependent)));
    }
    let name = |uuid: &Uuid| Part::Signature(Signature::from_bytes(*uuid.as_bytes())).as_input();
    behind.unresolved.extend(by_signature.keys().map(name));
    let asked: Vec<&[u8]> = by_digest.keys().map(|digest| &digest[..]).collect();
    let select = "SELECT number, output_digest FROM builds WHERE output_digest = ANY($1)";
    let rows = if asked.is_empty() { Vec::new() } else { client.query(select, &[&asked]).await? };
    let mut found = BTreeSet::new();
    for row in rows {
        // Several builds may have had the same output.
        let Some(digest) = found_by::as_digest(row.get(1)) else { continue };
        let dependents = by_digest.get(&digest).into_iter().flatten();
        behind.links.extend(dependents.map(|dependent| (row.get(0), *dependent)));
        found.insert(digest);
    }
    let without = by_digest.into_keys().filter(|digest| !found.contains(digest));
    behind.unresolved.extend(without.map(|digest| Part::Digest(digest).as_input()));
    behind.links.retain(|(dependency, dependent)| dependency != dependent);
    Ok(behind)
}

/// Links new builds, which are in the table but not in the index yet: to the builds they contain,
/// and to builds that contain them and were registered earlier.
pub async fn link(transaction: &Transaction<'_>, fresh: &[(Signature, i64, &BuildRecord)]) -> Result<()> {
    let builds: Vec<(i64, &BuildRecord)> =
        fresh.iter().map(|(_, number, record)| (*number, *record)).collect();
    let InputBuilds { mut links, unresolved } = behind(transaction, &builds).await?;
    let mut names: HashMap<Term, i64> = HashMap::new();
    for (signature, number, record) in fresh {
        names.extend(same_build::names(*signature, record).iter().map(|name| (name.as_input(), *number)));
    }
    let asked: Vec<&[u8]> = names.keys().map(|name| &name[..]).collect();
    let select = "SELECT term FROM unresolved WHERE term = ANY($1)";
    for row in transaction.query(select, &[&asked]).await? {
        let Ok(term) = Term::try_from(row.get::<_, &[u8]>(0)) else { continue };
        let Some(dependency) = names.get(&term) else { continue };
        let dependents = index::all_numbers(transaction, &term).await?;
        let there = "SELECT number FROM builds WHERE number = ANY($1)";
        let there = transaction.query(there, &[&dependents]).await?;
        links.extend(there.iter().map(|row| (*dependency, row.get(0))));
    }
    links.retain(|(dependency, dependent)| dependency != dependent);
    note(transaction, &unresolved).await?;
    let mut lists: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for (dependency, dependent) in links {
        lists.entry(dependency).or_default().push(dependent);
    }
    if lists.is_empty() {
        return Ok(());
    }
    let copy = "COPY dependents (dependency, first, offsets) FROM STDIN BINARY";
    let types = [Type::INT8, Type::INT8, Type::BYTEA];
    let mut rows = pin!(BinaryCopyInWriter::new(transaction.copy_in(copy).await?, &types));
    for (dependency, numbers) in &lists {
        for part in parts(numbers) {
            rows.as_mut().write(&[dependency, &part[0], &packed_offsets(part[0], part)]).await?;
        }
    }
    rows.finish().await?;
    let libraries: Vec<i64> = lists.into_keys().collect();
    // Those that are there are only read.
    let insert = "INSERT INTO libraries SELECT n FROM unnest($1::bigint[]) AS n
        WHERE NOT EXISTS (SELECT 1 FROM libraries WHERE number = n)";
    transaction.execute(insert, &[&libraries]).await?;
    Ok(())
}

/// Notes names of inputs whose builds may be registered later.
pub async fn note(transaction: &Transaction<'_>, unresolved: &BTreeSet<Term>) -> Result<()> {
    if unresolved.is_empty() {
        return Ok(());
    }
    let terms: Vec<&[u8]> = unresolved.iter().map(|term| &term[..]).collect();
    // Those that are there are only read.
    let insert = "INSERT INTO unresolved SELECT t.term FROM unnest($1::bytea[]) AS t (term)
        WHERE NOT EXISTS (SELECT 1 FROM unresolved u WHERE u.term = t.term)";
    transaction.execute(insert, &[&terms]).await?;
    Ok(())
}

/// Takes deleted builds out of the lists, and notes their names, because they may be registered
/// again.
pub async fn unlink(transaction: &Transaction<'_>, gone: &[(Signature, i64, BuildRecord)]) -> Result<()> {
    let builds: Vec<(i64, &BuildRecord)> = gone.iter().map(|(_, number, record)| (*number, record)).collect();
    let links = behind(transaction, &builds).await?.links;
    let dependencies: BTreeSet<i64> = links.iter().map(|(dependency, _)| *dependency).collect();
    let dependencies: Vec<i64> = dependencies.into_iter().collect();
    take_out(transaction, &dependencies, &builds.iter().map(|(number, _)| *number).collect()).await?;
    let delete = "DELETE FROM libraries WHERE number = ANY($1)
        AND NOT EXISTS (SELECT 1 FROM dependents WHERE dependency = number)";
    transaction.execute(delete, &[&dependencies]).await?;
    let names = gone.iter().flat_map(|(signature, _, record)| same_build::names(*signature, record));
    note(transaction, &names.map(|name| name.as_input()).collect()).await
}

/// Takes numbers out of the lists of these dependencies.
async fn take_out(transaction: &Transaction<'_>, of: &[i64], gone: &BTreeSet<i64>) -> Result<()> {
    let Some(last) = gone.last() else { return Ok(()) };
    let select =
        "SELECT dependency, first, offsets FROM dependents WHERE dependency = ANY($1) AND first <= $2";
    let (mut dependencies, mut firsts, mut offsets) = (Vec::new(), Vec::new(), Vec::new());
    for row in transaction.query(select, &[&of, last]).await? {
        let (dependency, first, packed): (i64, i64, &[u8]) = (row.get(0), row.get(1), row.get(2));
        let stays: Vec<i64> = unpacked(first, packed).filter(|number| !gone.contains(number)).collect();
        if stays.len() * OFFSET < packed.len() {
            dependencies.push(dependency);
            firsts.push(first);
            offsets.push(packed_offsets(first, &stays));
        }
    }
    let update = "UPDATE dependents d SET offsets = n.offsets
        FROM unnest($1::bigint[], $2::bigint[], $3::bytea[]) AS n (dependency, first, offsets)
        WHERE d.dependency = n.dependency AND d.first = n.first";
    transaction.execute(update, &[&dependencies, &firsts, &offsets]).await?;
    let delete = "DELETE FROM dependents WHERE dependency = ANY($1) AND offsets = ''";
    transaction.execute(delete, &[&of]).await?;
    Ok(())
}

/// The builds that were linked into others, ascending; read when a walk first needs them.
#[derive(Default)]
pub struct Libraries(Option<Vec<i64>>);

impl Libraries {
    /// Up to this many builds, the walk asks for the dependents of each. Of more, it first filters
    /// those that have any.
    const FEW: usize = 5000;

    /// Those of these ascending numbers that may have dependents.
    pub async fn among(&mut self, client: &impl GenericClient, numbers: &[i64]) -> Result<Vec<i64>> {
        if numbers.len() <= Self::FEW {
            return Ok(numbers.to_vec());
        }
        let libraries = match &mut self.0 {
            Some(libraries) => libraries,
            none => {
                let select = "SELECT coalesce(array_agg(number), '{}') FROM libraries";
                let mut all: Vec<i64> = client.query_one(select, &[]).await?.get(0);
                all.sort_unstable();
                none.insert(all)
            }
        };
        let mut next = libraries.iter().peekable();
        let mut is_library = |number: &i64| {
            while next.next_if(|library| *library < number).is_some() {}
            next.peek() == Some(&number)
        };
        Ok(numbers.iter().copied().filter(|number| is_library(number)).collect())
    }
}

/// The builds that these were linked into, in no order. One that several were linked into comes
/// several times.
pub async fn dependents(client: &impl GenericClient, of: &[i64]) -> Result<Vec<i64>> {
    let select = "SELECT first, offsets FROM dependents WHERE dependency = ANY($1)";
    let mut dependents = Vec::new();
    for row in client.query(select, &[&of]).await? {
        dependents.extend(unpacked(row.get(0), row.get(1)));
    }
    Ok(dependents)
}

/// Splits ascending numbers into rows. PostgreSQL neither compresses a small row nor stores it
/// apart.
fn parts(numbers: &[i64]) -> impl Iterator<Item = &[i64]> {
    let near = numbers.chunk_by(|one, next| one >> 32 == next >> 32);
    near.flat_map(|near| near.chunks(OFFSETS_MAX))
}

/// Offsets as PostgreSQL's `int4send` makes them: big-endian.
fn packed_offsets(first: i64, numbers: &[i64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| ((number - first) as u32).to_be_bytes()).collect()
}

fn unpacked(first: i64, offsets: &[u8]) -> impl Iterator<Item = i64> {
    let (offsets, _) = offsets.as_chunks::<OFFSET>();
    offsets.iter().map(move |offset| first + i64::from(u32::from_be_bytes(*offset)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_come_back_from_their_rows() {
        let numbers: Vec<i64> = (0..1000).chain([u32::MAX.into(), 1 << 32, (1 << 32) + 1, 5 << 40]).collect();
        let rows: Vec<(i64, Vec<u8>)> =
            parts(&numbers).map(|part| (part[0], packed_offsets(part[0], part))).collect();
        assert!(rows.iter().all(|(_, offsets)| offsets.len() <= OFFSETS_MAX * OFFSET));
        let back: Vec<i64> = rows.iter().flat_map(|(first, offsets)| unpacked(*first, offsets)).collect();
        assert_eq!(back, numbers);
        assert_eq!(rows.len(), 5, "three for a thousand and the one before 2^32, one after it, one far away");
    }
}
