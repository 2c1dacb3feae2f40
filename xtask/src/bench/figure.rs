//! A figure: what was measured, our share of the bare case, the budget and the peers.

/// One line of a printed table.
pub struct Figure {
    what: String,
    ours: String,
    /// Our share of the bare case and the budget's, both in per cent.
    budget: Option<(f64, f64)>,
    /// The budget in words.
    budget_text: String,
    ogrt_0_5: &'static str,
    xalt: &'static str,
}

impl Figure {
    /// A figure in words.
    pub fn plain(what: impl Into<String>, ours: impl Into<String>) -> Figure {
        Figure {
            what: what.into(),
            ours: ours.into(),
            budget: None,
            budget_text: String::new(),
            ogrt_0_5: "",
            xalt: "",
        }
    }

    /// A share of the bare case in per cent, with its budget in per cent, and the same in a unit of
    /// time.
    pub fn share(what: impl Into<String>, share: f64, time: &str, budget: Option<f64>) -> Figure {
        let figure = Figure::plain(what, format!("{share:+.2} % ({time})"));
        let budget_text = budget.map_or_else(String::new, |budget| format!("{budget} %"));
        Figure { budget: budget.map(|budget| (share, budget)), budget_text, ..figure }
    }

    /// Sets a budget that is no share.
    pub fn of(self, budget: impl Into<String>) -> Figure {
        Figure { budget_text: budget.into(), ..self }
    }

    /// Sets the peers' figures, which were measured beside ours in one run.
    pub fn beside(self, ogrt_0_5: &'static str, xalt: &'static str) -> Figure {
        Figure { ogrt_0_5, xalt, ..self }
    }

    fn misses_its_budget(&self) -> bool {
        self.budget.is_some_and(|(share, budget)| share > budget)
    }
}

/// Prints a table. A figure that misses its budget says so.
pub fn print(title: &str, figures: &[Figure]) {
    println!("{title:<50} {:>26} {:>12} {:>14} {:>18}", "ours", "budget", "OGRT 0.5", "XALT 3.2");
    for figure in figures {
        let Figure { what, ours, budget_text, ogrt_0_5, xalt, .. } = figure;
        let missed = if figure.misses_its_budget() { "  MISSED" } else { "" };
        println!("  {what:<48} {ours:>26} {budget_text:>12} {ogrt_0_5:>14} {xalt:>18}{missed}");
    }
    println!();
}

/// The origin of the peers' figures.
pub const PEERS: &str = "Peers: OGRT 0.5.1 and XALT 3.2.4, beside 1.0.0-alpha.1 in one run in shuffled order, 28 November \
                         2026, on a machine of this kind";

#[cfg(test)]
mod tests {
    use super::Figure;

    #[test]
    fn a_share_above_its_budget_misses_it() {
        assert!(Figure::share("a link", 8.1, "+2 ms", Some(8.0)).misses_its_budget());
        assert!(!Figure::share("a link", 8.0, "+2 ms", Some(8.0)).misses_its_budget());
        assert!(!Figure::share("a link", 80.0, "+20 ms", None).misses_its_budget());
        assert!(!Figure::plain("a link", "25 ms").misses_its_budget());
    }
}
