//! Stacked bars, as SVG that needs no style of its own: widths are percentages, so text keeps its
//! size at any width of the page.

use crate::{figures::hours_of, link, shown};
use maud::{Markup, html};
use std::collections::BTreeMap;

/// Most parts of a bar that have a colour of their own. What is less is "other".
const SERIES_MAX: usize = 7;

const HEIGHT: f64 = 180.0;
const BELOW: f64 = 20.0;

/// Amounts by column and by series.
#[derive(Default)]
pub struct StackedBars {
    amounts: BTreeMap<String, BTreeMap<String, u64>>,
    totals: BTreeMap<String, u64>,
}

impl StackedBars {
    /// Adds an amount, in microseconds.
    pub fn add(&mut self, column: &str, series: &str, amount_us: u64) {
        let of = self.amounts.entry(column.to_owned()).or_default().entry(series.to_owned()).or_default();
        *of = of.saturating_add(amount_us);
        let total = self.totals.entry(series.to_owned()).or_default();
        *total = total.saturating_add(amount_us);
    }

    /// The chart of softwares, each a link, with its numbers in a table for whoever cannot see it.
    /// `unit` says what they are.
    pub fn shown(&self, title: &str, unit: &str) -> Markup {
        self.drawn(title, unit, link::software)
    }

    /// The same of anything else.
    pub fn plain(&self, title: &str, unit: &str) -> Markup {
        self.drawn(title, unit, shown::short)
    }

    fn drawn(&self, title: &str, unit: &str, name_of: impl Fn(&str) -> Markup) -> Markup {
        let mut series: Vec<(&String, u64)> =
            self.totals.iter().map(|(name, total)| (name, *total)).collect();
        series.sort_by_key(|(name, total)| (std::cmp::Reverse(*total), *name));
        let has_other = series.len() > SERIES_MAX;
        series.truncate(SERIES_MAX);
        let names: Vec<&String> = series.into_iter().map(|(name, _)| name).collect();
        // The parts of each column, from below, and its sum.
        let parts = |of: &BTreeMap<String, u64>| {
            let mut parts: Vec<u64> = names.iter().map(|name| of.get(*name).copied().unwrap_or(0)).collect();
            let named: u64 = parts.iter().sum();
            let all: u64 = of.values().sum();
            parts.push(all.saturating_sub(named));
            (parts, all)
        };
        let columns: Vec<(&String, Vec<u64>, u64)> = self
            .amounts
            .iter()
            .map(|(column, of)| {
                let (parts, all) = parts(of);
                (column, parts, all)
            })
            .collect();
        let most = columns.iter().map(|(_, _, all)| *all).max().unwrap_or(0);
        if most == 0 {
            return html! { section { h2 { (title) } p.faint { "No " (unit) " are known of this time." } } };
        }
        let label = |at: usize| if at < names.len() { shown::visible(names[at]) } else { "other".to_owned() };
        let step = 100.0 / columns.len() as f64;
        let percent = |value: f64| format!("{value:.2}%");
        html! {
            section.chart {
                h2 { (title) }
                svg width="100%" height=(HEIGHT + BELOW) role="img" aria-label={ (title) ", in " (unit) ". The numbers are in the table below." } {
                    line.axis x1="0" x2="100%" y1=(HEIGHT) y2=(HEIGHT) {}
                    @for (at, (column, parts, all)) in columns.iter().enumerate() {
                        @let x = at as f64 * step;
                        @let heights: Vec<f64> = parts.iter().map(|part| *part as f64 / most as f64 * (HEIGHT - 18.0)).collect();
                        @for (index, height) in heights.iter().enumerate() {
                            @if *height > 0.0 {
                                @let y = HEIGHT - heights[..=index].iter().sum::<f64>();
                                rect class={ "s" (index) } x=(percent(x + step * 0.1)) width=(percent(step * 0.8)) y=(format!("{y:.2}")) height=(format!("{:.2}", height.max(0.5))) {
                                    title { (label(index)) ", " (column) ": " (hours_of(parts[index])) " " (unit) }
                                }
                            }
                        }
                        text.total x=(percent(x + step * 0.5)) y=(format!("{:.2}", HEIGHT - heights.iter().sum::<f64>() - 4.0)) text-anchor="middle" { (hours_of(*all)) }
                        text.tick x=(percent(x + step * 0.5)) y=(HEIGHT + 15.0) text-anchor="middle" { (tick(column, at, columns.len())) }
                    }
                }
                ul.legend {
                    @for (at, name) in names.iter().enumerate() {
                        li { svg.key width="12" height="12" aria-hidden="true" { rect class={ "s" (at) } width="12" height="12" rx="2" {} } " " (name_of(name)) }
                    }
                    @if has_other {
                        li { svg.key width="12" height="12" aria-hidden="true" { rect class={ "s" (names.len()) } width="12" height="12" rx="2" {} } " other" }
                    }
                }
                details {
                    summary { "The numbers of this chart" }
                    div.scroll role="region" aria-label={ (title) ": numbers" } tabindex="0" {
                        table {
                            thead { tr {
                                th scope="col" { "time" }
                                @for name in &names { th.num scope="col" { (shown::name_or(name, "(unknown)")) } }
                                @if has_other { th.num scope="col" { "other" } }
                            } }
                            tbody {
                                @for (column, parts, _) in &columns {
                                    tr {
                                        th scope="row" { (column) }
                                        @for part in parts.iter().take(names.len() + usize::from(has_other)) { td.num { (hours_of(*part)) } }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The name of a column below its bar, short where there is little room: of a week its number, of a
/// month its name, with the year where one begins.
fn tick(column: &str, at: usize, columns: usize) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let Some((year, rest)) = column.split_once('-').filter(|_| columns > 3) else { return column.to_owned() };
    let month = rest.parse::<usize>().ok().and_then(|month| MONTHS.get(month.checked_sub(1)?));
    match month {
        Some(month) if at == 0 || *month == "Jan" => format!("{month} {}", year.get(2..).unwrap_or_default()),
        Some(month) => (*month).to_owned(),
        None => rest.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_has_a_short_name_where_there_is_little_room() {
        let name = |column, at, columns| tick(column, at, columns);
        assert_eq!([name("2026-W49", 0, 3), name("2026-W49", 3, 5)], ["2026-W49", "W49"]);
        assert_eq!(
            [name("2025-12", 0, 12), name("2026-01", 1, 12), name("2026-02", 2, 12)],
            ["Dec 25", "Jan 26", "Feb"]
        );
    }
}
