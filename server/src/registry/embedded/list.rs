//! A page of builds: walks what the rarest term of the question finds, and checks each build
//! against the others.
//!
//! The work for one page is bounded. A page that the bound ends early says where to go on.

use super::{Embedded, Number, catalog::Signatures, contents, time_key};
use crate::{
    database::number,
    registry::{
        BuildFilter, CONTAINING_MAX, DEPTH_MAX, ListCursor, ListedBuild, Page, error::Result, found_by::Term,
    },
};
use ogrt_note::Signature;
use std::ops::ControlFlow::{self, Break, Continue};

/// Most builds that one page looks at.
const LOOKED_AT_MAX: usize = 20_000;

/// The page that the filter asks for.
pub fn page(registry: &Embedded, filter: &BuildFilter) -> Result<Page> {
    let mut page = PageInProgress {
        registry,
        filter,
        signatures: Signatures::of(&registry.store),
        page: Page::default(),
        last: filter.after.unwrap_or(ListCursor { time_ns: i64::MAX, number: Number::MAX }),
        looked_at: 0,
    };
    if let Some(part) = filter.containing {
        let walk = contents::walk(registry, part, DEPTH_MAX, CONTAINING_MAX)?;
        page.page.is_cut = walk.is_cut;
        let mut numbers: Vec<Number> = walk.builds.into_iter().map(|(number, _)| number).collect();
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        let before = page.last.number;
        for number in numbers.into_iter().filter(|number| *number < before) {
            if page.look_at(number, &filter.terms)?.is_break() {
                break;
            }
        }
    } else if filter.terms.is_empty() {
        page.by_time()?;
    } else {
        page.by_rarest_term()?;
    }
    Ok(page.page)
}

struct PageInProgress<'a> {
    registry: &'a Embedded,
    filter: &'a BuildFilter,
    signatures: Signatures<'a>,
    page: Page,
    last: ListCursor,
    looked_at: usize,
}

impl PageInProgress<'_> {
    fn by_rarest_term(&mut self) -> Result<()> {
        let index = &self.registry.index;
        let mut weighed: Vec<(usize, Term)> = Vec::new();
        for term in &self.filter.terms {
            weighed.push((index.weight(term)?, *term));
        }
        weighed.sort_unstable();
        let terms: Vec<Term> = weighed.into_iter().map(|(_, term)| term).collect();
        let Some((rarest, others)) = terms.split_first() else { return Ok(()) };
        let before = self.last.number;
        index.each_before(rarest, before, |number| Ok(self.look_at(number, others)?.is_continue()))
    }

    fn by_time(&mut self) -> Result<()> {
        let since = time_key(self.filter.since_ns.unwrap_or(0), 0);
        let until = self.filter.until_ns.unwrap_or(i64::MAX).min(self.last.time_ns);
        let until = time_key(until, if until == self.last.time_ns { self.last.number } else { 0 });
        if since >= until {
            return Ok(());
        }
        for entry in self.registry.store.builds_by_time.range(since..until).rev() {
            let key = entry.key()?;
            if self.look_at(number(key.get(8..).unwrap_or_default()), &[])?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Takes the build into the page if it fits; `Break` ends the page.
    fn look_at(&mut self, number: Number, others: &[Term]) -> Result<ControlFlow<()>> {
        if self.looked_at >= LOOKED_AT_MAX {
            self.page.next = Some(self.last);
            return Ok(Break(()));
        }
        self.looked_at += 1;
        for term in others {
            if !self.registry.index.contains(term, number)? {
                self.last.number = number;
                return Ok(Continue(()));
            }
        }
        let signature: Option<Signature> = self.signatures.get(number)?;
        let brief = signature.map(|signature| self.registry.brief(signature)).transpose()?.flatten();
        let Some((_, brief)) = brief else {
            self.last.number = number;
            return Ok(Continue(()));
        };
        let time_ns = brief.time_ns();
        let fits = self.filter.since_ns.is_none_or(|since| time_ns >= since)
            && self.filter.until_ns.is_none_or(|until| time_ns < until);
        if fits {
            if self.page.builds.len() >= self.filter.limit {
                self.page.next = Some(self.last);
                return Ok(Break(()));
            }
            self.page.builds.push(ListedBuild::of(&brief));
        }
        self.last = ListCursor { time_ns, number };
        Ok(Continue(()))
    }
}
