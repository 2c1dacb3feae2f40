//! `/job`: the sheet of a job, what failed in it, and its processes as a tree with their times.
//!
//! A job that fits is read whole, and what repeats in its tree is one line. Of a larger one the
//! sheet is that of the list of jobs, and its processes are shown a part at a time.

use super::{job_libraries, jobs};
use crate::{
    api::{Reader, Refusal},
    command, figures,
    frame::{Page, Section},
    link,
    parameters::Parameters,
    shown,
    table::{Cell, Kind, Table},
};
use axum::{http::StatusCode, response::Html};
use maud::{Markup, html};
use ogrt_answers::{
    fold_tree::fold,
    job_document::{Job, JobPart},
    job_list,
    job_process::Texts,
    job_sheet,
    job_totals::JobTotals,
    json_field::{behind, number},
    process_tree::{Node, Tree},
    tree_line,
    units::{cpu_time, duration, grouped},
};
use serde_json::Value;

/// Most processes of a job that is shown whole, and those of a part of a larger one.
const WHOLE_MAX: usize = 2_000;
const PART: usize = 500;

/// Most lines of a tree in one page.
const LINES_MAX: usize = 3_000;

/// The deepest indentation.
const DEPTH_MAX: usize = 30;

/// Lines of software and of failures in a sheet.
const SHEET_LINES: usize = 10;

/// A job as it was asked for.
struct Asked<'a> {
    id: &'a str,
    cluster: &'a str,
    cursor: &'a str,
    /// What repeats is not folded.
    is_all: bool,
}

impl Asked<'_> {
    fn of(parameters: &Parameters) -> Asked<'_> {
        Asked {
            id: parameters.of("id"),
            cluster: parameters.of("cluster"),
            cursor: parameters.of("cursor"),
            is_all: parameters.of("all") == "1",
        }
    }

    /// The question of a part with so many processes.
    async fn part(&self, reader: &Reader, limit: usize) -> Result<Value, Refusal> {
        let limit = limit.to_string();
        let question = [("cluster", self.cluster), ("limit", &limit), ("cursor", self.cursor)];
        reader.ask(&format!("/v1/jobs/{}", link::segment(self.id)), &question).await
    }

    fn name(&self) -> String {
        if self.cluster.is_empty() { self.id.to_owned() } else { format!("{}/{}", self.cluster, self.id) }
    }
}

/// The page.
pub async fn show(reader: Reader, parameters: Parameters) -> Result<Page, Refusal> {
    let asked = Asked::of(&parameters);
    if asked.id.is_empty() {
        return Err(Refusal::bad_question("an address of a job has its id: /job?id=4711"));
    }
    // A process of the job says since when the list has it, and the list how large the job is.
    let head = asked.part(&reader, 1).await;
    let listed =
        jobs::of_one(&reader, asked.id, asked.cluster, head.as_ref().unwrap_or(&Value::Null)).await?;
    let is_small = asked.cursor.is_empty() && processes(&listed) <= WHOLE_MAX as u64;
    let part = match head {
        Ok(head) if head["next"].is_null() => Ok(head),
        Ok(_) => asked.part(&reader, if is_small { WHOLE_MAX } else { PART }).await,
        Err(refusal) => Err(refusal),
    };
    let is_whole = asked.cursor.is_empty() && part.as_ref().is_ok_and(|part| part["next"].is_null());
    let part = match part {
        Ok(part) => part,
        // Its processes may be deleted, while the list still knows it.
        Err(refusal) if refusal.status == StatusCode::NOT_FOUND && jobs::count(&listed) > 0 => Value::Null,
        Err(refusal) => return Err(refusal),
    };
    let job = read(&part);
    let totals = JobTotals::of(&job);
    let (first_ns, last_ns) = match is_whole {
        true => (totals.first_ns, totals.last_ns),
        false => span_of(&listed, &totals),
    };
    let body = html! {
        @if job.clusters.len() > 1 { (several_clusters(&asked, &job)) }
        @if is_whole && !part.is_null() {
            (sheet(&job, &totals, &listed))
            (software(&totals))
            (failures(&totals))
        } @else {
            (jobs::table("The job", &listed).shown())
        }
        @if part.is_null() {
            p.warning { "The processes of this job were deleted: they are kept for jobs.keep, up to jobs.bytes_max." }
        } @else {
            (tree(&asked, &job, &part, is_whole, (first_ns, last_ns)))
            (job_libraries::shown(&part))
        }
        @if job.is_cut && is_whole { p.warning role="status" { "Incomplete: the job had more processes than the server keeps or answers." } }
        @if job.counted_until_ns.is_some() { p.warning role="status" { (behind(&part)) } }
    };
    Ok(Page::new(Section::Jobs, format!("Job {}", asked.name()), body))
}

/// Further processes of a large job: lines of its table, for the script.
pub async fn more(reader: Reader, parameters: Parameters) -> Result<Html<String>, Refusal> {
    let asked = Asked::of(&parameters);
    let part = asked.part(&reader, PART).await?;
    let job = read(&part);
    let number = |name: &str| parameters.of(name).parse::<i64>().unwrap_or(0);
    let span = (number("first"), number("last"));
    let (lines, _) = lines(&job, &asked, span);
    let lines = html! {
        table { tbody data-next=(part["next"].as_str().map(|next| next_address(&asked, next, span, "/job/processes")).unwrap_or_default()) { (lines) } }
    };
    Ok(Html(lines.into_string()))
}

/// The number of a job's processes, by its lines in the list. Where the list does not know the job,
/// it may have very many.
fn processes(listed: &Value) -> u64 {
    let lines = listed["jobs"].as_array().filter(|lines| !lines.is_empty());
    lines.map_or(u64::MAX, |lines| lines.iter().map(|line| number(line, "processes")).sum())
}

fn read(part: &Value) -> Job {
    let mut job = Job::default();
    job.add_processes(part, &mut Texts::default());
    job.take_facts(part);
    job
}

/// The first start and the last end, by the list of jobs.
fn span_of(listed: &Value, totals: &JobTotals) -> (i64, i64) {
    let of = |key: &str| {
        let jobs = listed["jobs"].as_array().into_iter().flatten();
        jobs.filter_map(|job| job[key].as_i64()).collect::<Vec<_>>()
    };
    let first = of("first_ns").into_iter().min().unwrap_or(totals.first_ns);
    let last = of("last_ns").into_iter().max().unwrap_or(totals.last_ns);
    (first, last.max(first))
}

fn several_clusters(asked: &Asked<'_>, job: &Job) -> Markup {
    html! {
        p.warning { "There is such a job on several clusters. Choose one: "
            @for cluster in job.clusters.iter().filter(|cluster| !cluster.is_empty()) { (link::job(cluster, asked.id)) " " }
        }
    }
}

fn sheet(job: &Job, totals: &JobTotals, listed: &Value) -> Markup {
    let states: Vec<String> = listed["jobs"].as_array().into_iter().flatten().map(job_list::state).collect();
    let arrays: Vec<String> = listed["jobs"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|job| {
            job["array_job"].as_u64().map(|array| format!("{array}_{}", number(job, "array_task")))
        })
        .collect();
    html! {
        dl.facts.sheet {
            @if let Some(state) = states.first() { dt { "state" } dd { (jobs::state(state)) } }
            @if let Some(array) = arrays.first() { dt { "array task" } dd { (array) } }
            @for (label, text) in job_sheet::lines(job, &JobPart::default(), totals) {
                @if !text.is_empty() && label != "job" {
                    dt { (label) }
                    dd {
                        @if label == "user" && totals.users.len() == 1 { (link::user(text.split(" (").next().unwrap_or(&text))) @if text.contains(" (claimed)") { " (claimed)" } }
                        @else { (shown::long(&text)) }
                    }
                }
            }
        }
    }
}

fn software(totals: &JobTotals) -> Markup {
    let columns = [("software", Kind::Text), ("processes", Kind::Number), ("CPU time", Kind::Number)];
    let mut table = Table::new("Software", &columns);
    let unknown: std::rc::Rc<str> = "".into();
    let unknown = (totals.unknown.processes > 0).then_some((&unknown, &totals.unknown));
    for (name, used) in
        totals.software.iter().take(SHEET_LINES).map(|(name, used)| (name, used)).chain(unknown)
    {
        let cpu = if used.measured > 0 { cpu_time(used.cpu_us) } else { String::new() };
        table.row(vec![
            Cell::text(match name.is_empty() {
                true => html! { a href="/unregistered" { "not registered" } },
                false => html! { a href=(link::to("/search", &[("q", name)])) { (shown::short(name)) } },
            }),
            figures::number_of(used.processes as u64),
            Cell::number(used.cpu_us as f64, html! { (cpu) }),
        ]);
    }
    table.shown()
}

fn failures(totals: &JobTotals) -> Markup {
    if totals.failures.is_empty() {
        return html! {};
    }
    let columns = [("what failed", Kind::Text), ("how", Kind::Text), ("times", Kind::Number)];
    let mut table = Table::new("Failures", &columns);
    for failure in totals.failures.iter().take(SHEET_LINES) {
        table.row(vec![
            shown::short(&failure.name).into(),
            ending(&failure.ending).into(),
            figures::number_of(failure.count as u64),
        ]);
    }
    table.shown()
}

/// How something ended, with what a signal is called.
fn ending(ending: &str) -> Markup {
    let number = ending.strip_prefix("signal ").and_then(|rest| rest.split(',').next());
    let name = number.and_then(signal_name).unwrap_or_default();
    html! { span.bad { (shown::short(ending)) @if !name.is_empty() { " (" (name) ")" } } }
}

/// The names of signals that end programs (signal(7)).
fn signal_name(number: &str) -> Option<&'static str> {
    let names = [
        ("1", "SIGHUP, its terminal went away"),
        ("2", "SIGINT, interrupted"),
        ("3", "SIGQUIT"),
        ("4", "SIGILL, an instruction that this processor does not know"),
        ("6", "SIGABRT, the program gave up"),
        ("7", "SIGBUS, memory that is not there"),
        ("8", "SIGFPE, a division by zero"),
        ("9", "SIGKILL, killed, often at a limit"),
        ("11", "SIGSEGV, a wrong address in memory"),
        ("13", "SIGPIPE, nobody read its output"),
        ("14", "SIGALRM"),
        ("15", "SIGTERM, asked to end"),
        ("24", "SIGXCPU, its limit of CPU time"),
        ("25", "SIGXFSZ, its limit of a file's size"),
    ];
    names.into_iter().find(|(known, _)| *known == number).map(|(_, name)| name)
}

fn tree(asked: &Asked<'_>, job: &Job, part: &Value, is_whole: bool, span: (i64, i64)) -> Markup {
    let (lines, left_out) = lines(job, asked, span);
    let next = part["next"].as_str();
    let count = number_of_processes(part);
    let title = match (is_whole, asked.cursor.is_empty()) {
        (true, _) => "Processes".to_owned(),
        (false, true) => format!("The first {} processes", grouped(count)),
        (false, false) => format!("Further {} processes", grouped(count)),
    };
    let wall = u64::try_from(span.1.saturating_sub(span.0)).unwrap_or(0);
    html! {
        section.table {
            div.head {
                h2 { (title) }
                p.files {
                    @if is_whole {
                        @if asked.is_all { a href=(link::to("/job", &[("id", asked.id), ("cluster", asked.cluster)])) { "fold what repeats" } }
                        @else { a href=(link::to("/job", &[("id", asked.id), ("cluster", asked.cluster), ("all", "1")])) { "each process on its own line" } }
                    }
                    a href=(link::to(&format!("/v1/jobs/{}", link::segment(asked.id)), &[("cluster", asked.cluster)])) { "JSON" }
                }
            }
            div.scroll role="region" aria-label="Processes" tabindex="0" {
                table.tree {
                    thead { tr {
                        th scope="col" { "program" }
                        th scope="col" { "software" }
                        th scope="col" { "processes" }
                        th scope="col" { "hosts" }
                        th scope="col" { "time" }
                        th scope="col" { "when, of " (duration(wall)) }
                        th scope="col" { "end" }
                    } }
                    tbody data-next=(next.map(|next| next_address(asked, next, span, "/job/processes")).unwrap_or_default()) { (lines) }
                }
            }
            @if left_out > 0 { p.note { (grouped(left_out as u64)) " more lines are not shown here; the command shows all." } }
            @if let Some(next) = next { p.next { a href=(next_address(asked, next, span, "/job")) { "further processes" } } }
            (crate::table::command(&command::line(&["ogrt", "job", &asked.name()])))
        }
    }
}

fn number_of_processes(part: &Value) -> u64 {
    part["processes"].as_array().map_or(0, |all| all.len() as u64)
}

fn next_address(asked: &Asked<'_>, next: &str, span: (i64, i64), path: &str) -> String {
    let (first, last) = (span.0.to_string(), span.1.to_string());
    link::to(
        path,
        &[("id", asked.id), ("cluster", asked.cluster), ("cursor", next), ("first", &first), ("last", &last)],
    )
}

/// Lines of the tree, and how many are left out.
fn lines(job: &Job, asked: &Asked<'_>, span: (i64, i64)) -> (Markup, usize) {
    let mut tree = Tree::of(job);
    if !asked.is_all {
        fold(&mut tree);
    }
    // Depth first, without recursion: strangers decide how deep a tree is.
    let mut open: Vec<(usize, usize)> = tree.roots.iter().rev().map(|root| (*root, 0)).collect();
    let mut lines = Vec::new();
    let mut all = 0;
    while let Some((at, depth)) = open.pop() {
        let node = &tree.nodes[at];
        if lines.len() < LINES_MAX {
            lines.push(line(node, depth, span));
        }
        all += 1;
        open.extend(node.children.iter().rev().map(|child| (*child, depth + 1)));
    }
    let left_out = all - lines.len();
    (html! { @for line in &lines { (line) } }, left_out)
}

fn line(node: &Node, depth: usize, span: (i64, i64)) -> Markup {
    let failed = node.endings.keys().any(|ending| ending.starts_with("exit") || ending.starts_with("signal"));
    let software = tree_line::software(node);
    html! {
        tr.failed[failed] {
            td.name {
                @for _ in 0..depth.min(DEPTH_MAX) { span.indent aria-hidden="true" {} }
                @if depth > 0 { span.unseen { "level " (depth + 1) ": " } }
                @if node.is_exec { span.faint { "exec " } }
                span title=(shown::visible(&node.program)) { (shown::name_or(&node.name, "(unknown)")) }
                @if node.times > 1 { " × " (grouped(node.times as u64)) }
            }
            td {
                @if let Some(address) = address_of(node) { a href=(address) { (shown::short(&software)) } }
                @else { (shown::short(&software)) }
            }
            td { (tree_line::count(node)) @if node.claimed > 0 { " " span.faint { (tree_line::identity(node)) } } }
            td { (shown::short(&tree_line::hosts(node))) }
            td.num { (tree_line::duration(node)) }
            td.when { (bar(node, span)) }
            td { @if failed { (ending(&tree_line::endings(node))) } @else { (shown::short(&tree_line::endings(node))) } }
        }
    }
}

/// The page about what a line ran: its build, its software, or who else runs the file.
fn address_of(node: &Node) -> Option<String> {
    if node.is_unregistered {
        let is_file = node.program.starts_with('/');
        return is_file.then(|| link::to("/affected", &[("path", &node.program)]));
    }
    match (node.signature.is_empty(), node.software.is_empty()) {
        (false, _) => Some(link::to("/build", &[("signature", &node.signature)])),
        (true, false) => Some(link::to("/search", &[("q", &node.software)])),
        (true, true) => None,
    }
}

/// When a line's processes ran, within the time of the job.
fn bar(node: &Node, (first, last): (i64, i64)) -> Markup {
    let whole = last.saturating_sub(first).max(1) as f64;
    let at = |ns: i64| (ns.saturating_sub(first) as f64 / whole * 100.0).clamp(0.0, 100.0);
    let has_end = node.ended == node.processes;
    let begin = at(node.start_ns);
    let end = if has_end { at(node.end_ns) } else { 100.0 };
    let width = (end - begin).clamp(0.6, 100.0);
    let begin = begin.min(100.0 - width);
    let since = duration(u64::try_from(node.start_ns.saturating_sub(first)).unwrap_or(0));
    let words = match has_end {
        true => format!(
            "from {since} to {}",
            duration(u64::try_from(node.end_ns.saturating_sub(first)).unwrap_or(0))
        ),
        false => format!("from {since}, no end seen"),
    };
    html! {
        svg.bar width="100%" height="12" role="img" aria-label=(words) {
            title { (words) }
            rect.track width="100%" height="12" {}
            rect .s0[has_end] .open[!has_end] x=(format!("{begin:.2}%")) width=(format!("{width:.2}%")) height="12" {}
        }
    }
}
