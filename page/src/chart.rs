//! Stacked bars, as SVG that needs no style of its own: widths are percentages, so text keeps its
//! size at any width of the page.

use crate::{figures::hours_of, link, shown};
use maud::{Markup, html};
use std::{cmp::Reverse, collections::BTreeMap};

/// Most parts of a bar that have a colour of their own. What is less is "other".
const SERIES_MAX: usize = 7;

const HEIGHT: f64 = 180.0;
const BELOW: f64 = 20.0;

/// The room above the largest bar, for its sum.
const ABOVE: f64 = 18.0;

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
        let layers = Layers::of(self);
        if layers.largest() == 0 {
            return html! { section { h2 { (title) } p.faint { "No " (unit) " are known of this time." } } };
        }
        html! {
            section.chart {
                h2 { (title) }
                (layers.bars(title, unit))
                (layers.legend(&name_of))
                details {
                    summary { "The numbers of this chart" }
                    (layers.numbers(title))
                }
            }
        }
    }
}

/// A column: its name, the parts of its bar from below, and their sum.
struct Column<'a> {
    name: &'a str,
    parts: Vec<u64>,
    sum: u64,
}

/// What is drawn: the largest series, and all others as one.
struct Layers<'a> {
    names: Vec<&'a str>,
    has_other: bool,
    columns: Vec<Column<'a>>,
}

impl<'a> Layers<'a> {
    fn of(bars: &'a StackedBars) -> Layers<'a> {
        let mut series: Vec<(&str, u64)> =
            bars.totals.iter().map(|(name, total)| (&name[..], *total)).collect();
        series.sort_by_key(|(name, total)| (Reverse(*total), *name));
        let has_other = series.len() > SERIES_MAX;
        let names: Vec<&str> = series.into_iter().take(SERIES_MAX).map(|(name, _)| name).collect();
        let column = |(name, of): (&'a String, &BTreeMap<String, u64>)| {
            let mut parts: Vec<u64> = names.iter().map(|name| of.get(*name).copied().unwrap_or(0)).collect();
            let sum: u64 = of.values().sum();
            parts.push(sum.saturating_sub(parts.iter().sum()));
            Column { name, parts, sum }
        };
        let columns = bars.amounts.iter().map(column).collect();
        Layers { names, has_other, columns }
    }

    fn largest(&self) -> u64 {
        self.columns.iter().map(|column| column.sum).max().unwrap_or(0)
    }

    /// The name of a series as text.
    fn label(&self, at: usize) -> String {
        self.names.get(at).map_or_else(|| "other".to_owned(), |name| shown::visible(name))
    }

    /// The number of series, with all others as one.
    fn series(&self) -> usize {
        self.names.len() + usize::from(self.has_other)
    }

    fn bars(&self, title: &str, unit: &str) -> Markup {
        let label = format!("{title}, in {unit}. The numbers are in the table below.");
        let step = 100.0 / self.columns.len() as f64;
        html! {
            svg width="100%" height=(HEIGHT + BELOW) role="img" aria-label=(label) {
                line.axis x1="0" x2="100%" y1=(HEIGHT) y2=(HEIGHT) {}
                @for (at, column) in self.columns.iter().enumerate() {
                    (self.bar(column, at, at as f64 * step, step, unit))
                }
            }
        }
    }

    /// A bar, which begins at this part of the width, in per cent.
    fn bar(&self, column: &Column<'_>, at: usize, left: f64, step: f64, unit: &str) -> Markup {
        let percent = |value: f64| format!("{value:.2}%");
        let scale = (HEIGHT - ABOVE) / self.largest() as f64;
        let mut top = HEIGHT;
        let mut parts = Vec::new();
        for (index, amount) in column.parts.iter().enumerate().filter(|(_, amount)| **amount > 0) {
            let height = *amount as f64 * scale;
            top -= height;
            let words = format!("{}, {}: {} {unit}", self.label(index), column.name, hours_of(*amount));
            parts.push((index, top, height.max(0.5), words));
        }
        let middle = percent(left + step * 0.5);
        html! {
            @for (index, y, height, words) in &parts {
                rect class={ "s" (index) }
                    x=(percent(left + step * 0.1)) width=(percent(step * 0.8))
                    y=(format!("{y:.2}")) height=(format!("{height:.2}")) { title { (words) } }
            }
            text.total x=(middle) y=(format!("{:.2}", top - 4.0)) text-anchor="middle" {
                (hours_of(column.sum))
            }
            text.tick x=(middle) y=(HEIGHT + BELOW - 5.0) text-anchor="middle" {
                (tick(column.name, at, self.columns.len()))
            }
        }
    }

    fn legend(&self, name_of: &impl Fn(&str) -> Markup) -> Markup {
        let key = |at: usize| {
            html! {
                svg.key width="12" height="12" aria-hidden="true" {
                    rect class={ "s" (at) } width="12" height="12" rx="2" {}
                }
            }
        };
        html! {
            ul.legend {
                @for (at, name) in self.names.iter().enumerate() { li { (key(at)) " " (name_of(name)) } }
                @if self.has_other { li { (key(self.names.len())) " other" } }
            }
        }
    }

    fn numbers(&self, title: &str) -> Markup {
        html! {
            div.scroll role="region" aria-label={ (title) ": numbers" } tabindex="0" {
                table {
                    thead {
                        tr {
                            th scope="col" { "time" }
                            @for at in 0..self.series() {
                                th.num scope="col" {
                                    @if self.label(at).is_empty() { "(unknown)" } @else { (self.label(at)) }
                                }
                            }
                        }
                    }
                    tbody {
                        @for column in &self.columns {
                            tr {
                                th scope="row" { (column.name) }
                                @for part in column.parts.iter().take(self.series()) {
                                    td.num { (hours_of(*part)) }
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
/// month its name, and where a year begins the year. A few months say it of the first.
fn tick(column: &str, at: usize, columns: usize) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let Some((year, rest)) = column.split_once('-').filter(|_| columns > 3) else { return column.to_owned() };
    let month = rest.parse::<usize>().ok().and_then(|month| MONTHS.get(month.checked_sub(1)?));
    match month {
        Some(&"Jan") => year.to_owned(),
        Some(month) if at == 0 && columns < 8 => format!("{month} {}", year.get(2..).unwrap_or_default()),
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
            [name("2025-12", 0, 13), name("2026-01", 1, 13), name("2026-02", 2, 13)],
            ["Dec", "2026", "Feb"]
        );
        assert_eq!([name("2026-03", 0, 5), name("2026-04", 1, 5)], ["Mar 26", "Apr"]);
    }
}
