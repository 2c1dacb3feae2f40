//! The name of the MPI launch that a rank belongs to, as its launcher has it in the environment.

use crate::{
    encoder::Encoder,
    field_numbers::process_info,
    glob, literal, proxy,
    variables::{Meaning, Variables},
};

/// What a launcher calls a launch: its own kind, and up to two variables with a dot between them.
/// A kind alone stands for launchers that name none, but start each rank themselves.
#[derive(Clone, Copy)]
struct Launcher {
    /// The position of the rank's variable among those for a rank.
    rank: u8,
    /// The variable that must be there.
    needs: Meaning,
    /// The index of the kind in `KINDS`.
    kind: u8,
    name: Option<Meaning>,
    rest: Option<Meaning>,
}

/// The launchers' kinds. One text, since a list of texts is a list of addresses.
const KINDS: &[u8] = b"pmix hydra pmi flux slurm";
/// The kind whose proxy alone knows the name where no variable has it.
const HYDRA: u8 = 1;

/// The launchers; the first that fits counts. It is chosen by the variable that the rank is from: a
/// launcher within a step has the step's, too.
const LAUNCHERS: [Launcher; 11] = {
    use Meaning::*;
    const fn row(
        rank: u8,
        needs: Meaning,
        kind: u8,
        name: Option<Meaning>,
        rest: Option<Meaning>,
    ) -> Launcher {
        Launcher { rank, needs, kind, name, rest }
    }
    [
        row(0, PmixNamespace, 0, Some(PmixNamespace), None),
        row(1, PmixNamespace, 0, Some(PmixNamespace), None),
        row(2, HydraUuid, HYDRA, Some(HydraUuid), Some(HydraGroup)),
        row(2, LocalRank, HYDRA, None, None),
        row(2, PmiJob, 2, Some(PmiJob), None),
        row(2, FluxJob, 3, Some(FluxJob), None),
        row(2, Rank, 2, None, None),
        row(3, Rank, 2, None, None),
        row(4, FluxJob, 3, Some(FluxJob), None),
        row(5, PmiJob, 2, Some(PmiJob), None),
        row(6, SlurmJob, 4, Some(SlurmJob), Some(Step)),
    ]
};

/// Writes the launch of this process, if it is a rank of one.
pub fn write_launch(out: &mut Encoder, variables: &Variables, parent_pid: i32) {
    let rank = variables.rank(Meaning::Rank);
    let is_it = |row: &&Launcher| row.rank == rank && !variables.value(row.needs).is_empty();
    let Some(Launcher { kind, name, rest, .. }) = LAUNCHERS.iter().find(is_it).copied() else { return };
    if matches!(rest, Some(Meaning::Step)) && !is_step(variables.value(Meaning::Step)) {
        return;
    }
    let value = |meaning: Option<Meaning>| meaning.map_or(&b""[..], |meaning| variables.value(meaning));
    let mut told = (value(name), value(rest));
    let mut line = [0; proxy::ROOM];
    if kind == HYDRA && name.is_none() {
        told = proxy::launch(parent_pid, &mut line).unwrap_or_default();
    }
    let (name, rest) = told;
    out.message(process_info::LAUNCH, |out| {
        out.put(glob::entries(KINDS).nth(kind.into()).unwrap_or_default());
        if !name.is_empty() {
            out.put(b":");
            out.put(name);
        }
        if !rest.is_empty() || kind == HYDRA && !name.is_empty() {
            out.put(b".");
            out.put(rest);
        }
    });
}

/// The number is not one of those that stand for what is no step: a batch script, an interactive
/// shell.
fn is_step(step: &[u8]) -> bool {
    const FIRST_SPECIAL: u32 = 0xFFFF_FFF0;
    literal::number(step, 10, u32::MAX).is_some_and(|number| number < FIRST_SPECIAL)
}
