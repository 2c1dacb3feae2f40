//! Which builds were linked into which. A build's dependents are a list in parts, one for each group in which some came.

use super::{index, write::signature_uuid};
use crate::registry::{
    Part,
    found_by::{self, Term},
    same_build,
};
use anyhow::Result;
use ogrt_note::Signature;
use ogrt_proto::BuildRecord;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    pin::pin,
};
use tokio_postgres::{GenericClient, Transaction, binary_copy::BinaryCopyInWriter, types::Type};
use uuid::Uuid;

/// What is behind the inputs of some builds.
#[derive(Default)]
pub struct Behind {
    /// Dependency and dependent.
    pub links: BTreeSet<(i64, i64)>,
    /// Names of inputs behind which there is no build: it may come.
    pub unresolved: BTreeSet<Term>,
}

/// Looks for the builds that the inputs of these came out of.
pub async fn behind(client: &impl GenericClient, builds: &[(i64, &BuildRecord)]) -> Result<Behind> {
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
    let mut behind = Behind::default();
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

/// Links new builds, which are in the table but not in the index: to what is in them, and to those registered before
/// what they contain.
pub async fn link(transaction: &Transaction<'_>, fresh: &[(Signature, i64, &BuildRecord)]) -> Result<()> {
    let builds: Vec<(i64, &BuildRecord)> =
        fresh.iter().map(|(_, number, record)| (*number, *record)).collect();
    let Behind { mut links, unresolved } = behind(transaction, &builds).await?;
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
    let copy = "COPY dependents (dependency, first, numbers) FROM STDIN BINARY";
    let types = [Type::INT8, Type::INT8, Type::INT8_ARRAY];
    let mut rows = pin!(BinaryCopyInWriter::new(transaction.copy_in(copy).await?, &types));
    for (dependency, numbers) in &lists {
        rows.as_mut().write(&[dependency, &numbers[0], numbers]).await?;
    }
    rows.finish().await?;
    let libraries: Vec<i64> = lists.into_keys().collect();
    // Those that are there are only read.
    let insert = "INSERT INTO libraries SELECT n FROM unnest($1::bigint[]) AS n
        WHERE NOT EXISTS (SELECT 1 FROM libraries WHERE number = n)";
    transaction.execute(insert, &[&libraries]).await?;
    Ok(())
}

/// Notes names of inputs whose builds may come.
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

/// Takes builds that were removed out of the lists, and notes their names: they may come again.
pub async fn unlink(transaction: &Transaction<'_>, gone: &[(Signature, i64, BuildRecord)]) -> Result<()> {
    let builds: Vec<(i64, &BuildRecord)> = gone.iter().map(|(_, number, record)| (*number, record)).collect();
    let links = behind(transaction, &builds).await?.links;
    let dependencies: BTreeSet<i64> = links.iter().map(|(dependency, _)| *dependency).collect();
    let dependencies: Vec<i64> = dependencies.into_iter().collect();
    let numbers: Vec<i64> = builds.iter().map(|(number, _)| *number).collect();
    let update = "UPDATE dependents SET numbers =
            ARRAY(SELECT n FROM unnest(numbers) AS n WHERE NOT n = ANY($2::bigint[]) ORDER BY n)
        WHERE dependency = ANY($1) AND numbers && $2::bigint[]";
    transaction.execute(update, &[&dependencies, &numbers]).await?;
    let delete = "DELETE FROM dependents WHERE dependency = ANY($1) AND numbers = '{}'";
    transaction.execute(delete, &[&dependencies]).await?;
    let delete = "DELETE FROM libraries WHERE number = ANY($1)
        AND NOT EXISTS (SELECT 1 FROM dependents WHERE dependency = number)";
    transaction.execute(delete, &[&dependencies]).await?;
    let names = gone.iter().flat_map(|(signature, _, record)| same_build::names(*signature, record));
    note(transaction, &names.map(|name| name.as_input()).collect()).await
}

/// Builds that were linked into others, as far as a walk has asked.
#[derive(Default)]
pub struct Libraries(Option<HashSet<i64>>);

impl Libraries {
    /// Of so many builds every one is asked for; of more, first which of them it is worth to ask for.
    const FEW: usize = 5000;

    /// Those of these builds that may have dependents.
    pub async fn among(&mut self, client: &impl GenericClient, numbers: &[i64]) -> Result<Vec<i64>> {
        if numbers.len() <= Self::FEW {
            return Ok(numbers.to_vec());
        }
        let libraries = match &mut self.0 {
            Some(libraries) => libraries,
            none => {
                let select = "SELECT coalesce(array_agg(number), '{}') FROM libraries";
                let all: Vec<i64> = client.query_one(select, &[]).await?.get(0);
                none.insert(all.into_iter().collect())
            }
        };
        Ok(numbers.iter().copied().filter(|number| libraries.contains(number)).collect())
    }
}

/// The builds that these were linked into, ascending.
pub async fn dependents(client: &impl GenericClient, of: &[i64]) -> Result<Vec<i64>> {
    let select = "SELECT numbers FROM dependents WHERE dependency = ANY($1)";
    let rows = client.query(select, &[&of]).await?;
    // Of a common library hundreds of thousands: a tree of them would take longer than the database does.
    let mut dependents: Vec<i64> = rows.iter().flat_map(|row| row.get::<_, Vec<i64>>(0)).collect();
    dependents.sort_unstable();
    dependents.dedup();
    Ok(dependents)
}
