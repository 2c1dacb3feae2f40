//! Interleaved timing of commands, from start to end of the process.

use anyhow::{Context, Result, ensure};
use std::{
    io,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Times of commands that took turns.
pub struct Measurement {
    /// The median of each command, in the order given.
    pub medians: Vec<Duration>,
    /// Half the distance between the quartiles of each command.
    pub spreads: Vec<Duration>,
    /// How often each command ran, warm-up included.
    pub runs: usize,
    /// All times of each command, round by round.
    times: Vec<Vec<Duration>>,
}

/// How much longer one command takes than another.
#[derive(Clone, Copy, Debug)]
pub struct Pairs {
    /// The median of the differences, in seconds.
    pub seconds: f64,
    /// The median of the shares, in per cent of the other command.
    pub per_cent: f64,
}

impl Pairs {
    /// `+12 us`.
    pub fn microseconds(&self) -> String {
        format!("{:+.0} us", self.seconds * 1e6)
    }

    /// `+0.91 ms`.
    pub fn milliseconds(&self) -> String {
        format!("{:+.2} ms", self.seconds * 1e3)
    }
}

impl Measurement {
    /// How much longer one command took than another in the same round: the median of all rounds.
    /// It holds when the machine becomes slower or faster meanwhile.
    pub fn in_pairs(&self, with: usize, without: usize) -> Pairs {
        Pairs {
            seconds: self.median_of_pairs(with, without, |with, without| with - without),
            per_cent: self.median_of_pairs(with, without, |with, without| (with / without - 1.0) * 100.0),
        }
    }

    /// The median of `over`, which is given the seconds of both in each round.
    fn median_of_pairs(&self, with: usize, without: usize, over: impl Fn(f64, f64) -> f64) -> f64 {
        let pairs = self.times[with].iter().zip(&self.times[without]);
        let mut over: Vec<f64> =
            pairs.map(|(with, without)| over(with.as_secs_f64(), without.as_secs_f64())).collect();
        over.sort_unstable_by(f64::total_cmp);
        over.get(over.len() / 2).copied().unwrap_or_default()
    }
}

/// Runs the commands in turns for `rounds` rounds, in another order each round: a command leaves
/// caches and work behind, which must not always burden the same one.
///
/// A warm-up of a tenth of the rounds is not counted. A command that fails ends the measurement: it
/// would have been fast.
pub fn medians(commands: &mut [Command], rounds: usize) -> Result<Measurement> {
    medians_settling(commands, rounds, &mut || {})
}

/// Does the same, with `settle` after each command, outside of its time. Processes that a command
/// left running with its output open are waited for in any case.
pub fn medians_settling(
    commands: &mut [Command],
    rounds: usize,
    settle: &mut dyn FnMut(),
) -> Result<Measurement> {
    for command in &mut *commands {
        command.stdin(Stdio::null()).stderr(Stdio::null());
    }
    let warm_up = (rounds / 10).max(1);
    let mut times = vec![Vec::with_capacity(rounds); commands.len()];
    let mut order: Vec<usize> = (0..commands.len()).collect();
    let mut chance = Chance(0x9E37_79B9_7F4A_7C15);
    for round in 0..warm_up + rounds {
        chance.shuffle(&mut order);
        for &at in &order {
            let (command, times) = (&mut commands[at], &mut times[at]);
            let name = command.get_program().to_string_lossy().into_owned();
            let (mut rest, output) = io::pipe().context("cannot make a pipe")?;
            command.stdout(output);
            let started = Instant::now();
            let status = command.status().with_context(|| name.clone())?;
            let took = started.elapsed();
            // A process that the command leaves running has the other end still: mold leaves the
            // end of a large link to a child.
            command.stdout(Stdio::null());
            io::copy(&mut rest, &mut io::sink()).with_context(|| name.clone())?;
            settle();
            ensure!(status.success(), "{name}: {status}");
            if round >= warm_up {
                times.push(took);
            }
        }
    }
    let mut sorted = times.clone();
    sorted.iter_mut().for_each(|times| times.sort_unstable());
    let at = |share: f64| {
        let of = move |times: &Vec<Duration>| times.get((times.len() as f64 * share) as usize).copied();
        sorted.iter().map(move |times| of(times).unwrap_or_default())
    };
    let spreads = at(0.75).zip(at(0.25)).map(|(upper, lower)| (upper - lower) / 2).collect();
    Ok(Measurement { medians: at(0.5).collect(), spreads, runs: warm_up + rounds, times })
}

/// Xorshift, which gives the same orders in every run.
struct Chance(u64);

impl Chance {
    fn shuffle(&mut self, order: &mut [usize]) {
        for last in (1..order.len()).rev() {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            order.swap(last, (self.0 % (last as u64 + 1)) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slower_command_has_the_larger_median() {
        let mut sleep = Command::new("sleep");
        sleep.arg("0.02");
        let measured = super::medians(&mut [Command::new("true"), sleep], 3).unwrap();
        assert_eq!(measured.runs, 4);
        let (slower, quicker) = (measured.in_pairs(1, 0), measured.in_pairs(0, 1));
        assert!(slower.seconds > 0.01 && quicker.seconds < -0.01, "{slower:?} {quicker:?}");
        assert!(slower.per_cent > 50.0 && quicker.per_cent < -20.0, "{slower:?} {quicker:?}");
        let medians = measured.medians;
        assert!(medians[1] > medians[0] + Duration::from_millis(10), "{medians:?}");
        assert!(super::medians(&mut [Command::new("false")], 1).is_err());
    }
}
