//! `ogrt diff` for people: facts with both values, then lists with `-` for what only the first
//! build has and `+` for what only the second has.

use crate::format::sheet::Sheet;
use ogrt_answers::compare_builds::{Difference, ListDifference};
use std::collections::BTreeMap;

/// The differences between two builds.
pub fn text(difference: &Difference) -> String {
    let mut sheet = Sheet::new();
    sheet.titles(&["", "before", "after"]);
    let [before, after] = &difference.builds;
    sheet.columns(["signature".to_owned(), before.clone(), after.clone()]);
    add(&mut sheet, &difference.facts);
    add(&mut sheet, &difference.circumstances);
    let mut out = sheet.text();
    for (heading, list) in [
        ("flags", &difference.flags),
        ("compilers of the inputs", &difference.compilers),
        ("modules", &difference.modules),
        ("inputs", &difference.inputs),
    ] {
        out += &section(heading, list);
    }
    if !difference.changed_inputs.is_empty() {
        let mut sheet = Sheet::new();
        for input in &difference.changed_inputs {
            sheet.columns([input.path.clone(), input.sha256[0].clone(), input.sha256[1].clone()]);
            let [before, after] = input.signatures.each_ref().map(|signatures| signatures.join(" "));
            if before != after {
                sheet.columns(["  from build".to_owned(), before, after]);
            }
        }
        out += &format!("\n{}{}", Sheet::heading("changed inputs"), sheet.text());
    }
    out
}

fn add(sheet: &mut Sheet, values: &BTreeMap<&'static str, [String; 2]>) {
    for (label, [before, after]) in values {
        sheet.columns([label.replace('_', " "), before.clone(), after.clone()]);
    }
}

fn section(heading: &str, list: &ListDifference) -> String {
    if list.is_none() {
        return String::new();
    }
    let mut sheet = Sheet::new();
    list.before.iter().for_each(|text| sheet.columns(["-".to_owned(), text.clone()]));
    list.after.iter().for_each(|text| sheet.columns(["+".to_owned(), text.clone()]));
    format!("\n{}{}", Sheet::heading(heading), sheet.text())
}
