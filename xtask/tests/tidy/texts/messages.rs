//! Errors, warnings, log lines and what metrics say, as they stand in the sources.

use super::Text;
use crate::imports::is_for_tests;
use proc_macro2::{TokenStream, TokenTree};
use std::path::{Path, PathBuf};
use syn::{
    Attribute, Expr, ExprCall, ExprMethodCall, Item, Lit, Macro, Meta,
    visit::{self, Visit},
};

/// Macros that write to somebody, or make an error.
const MACROS: [&str; 9] =
    ["anyhow", "bail", "ensure", "eprint", "eprintln", "error", "info", "panic", "warn"];

/// Methods whose arguments become part of an error, or are said.
const METHODS: [&str; 9] =
    ["context", "expect", "map_err", "ok_or", "ok_or_else", "say", "text", "unwrap_or_else", "with_context"];

/// Functions that do.
const FUNCTIONS: [&str; 3] = ["complain", "custom", "Problem"];

/// All of them in these sources, tests left out.
pub fn all(sources: &[(PathBuf, String)]) -> Vec<Text> {
    let of_programs = |path: &Path| {
        let mut parts = path.iter();
        parts.next().is_some_and(|first| first != "tests" && first != "fuzz")
            && parts.next().is_some_and(|second| second == "src")
    };
    let mut found = Vec::new();
    for (path, text) in sources.iter().filter(|(path, _)| of_programs(path)) {
        let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut reader = Reader { path, found: Vec::new(), depth: 0 };
        reader.visit_file(&file);
        found.append(&mut reader.found);
    }
    found
}

struct Reader<'a> {
    path: &'a Path,
    found: Vec<Text>,
    /// How many calls around us make a text of what stands in them.
    depth: usize,
}

impl Reader<'_> {
    fn note(&mut self, literal: &Lit, stands_alone: bool, of: &str) {
        let text = match literal {
            Lit::Str(text) => text.value(),
            Lit::ByteStr(text) => String::from_utf8_lossy(&text.value()).into_owned(),
            _ => return,
        };
        // A word at least, besides what is put in.
        let words = text
            .split(['{', '}'])
            .step_by(2)
            .any(|part| part.chars().filter(|c| c.is_alphabetic()).count() > 2);
        if words {
            let line = literal.span().start().line;
            let of = if of.is_empty() { String::new() } else { format!(" {of}") };
            let from = format!("{}:{line}:{of}", self.path.display());
            let from = from.trim_end_matches(':').to_owned();
            self.found.push(Text { from, text: text.trim().to_owned(), stands_alone });
        }
    }

    /// Literals in what a macro is given, other macros in it as well.
    fn note_tokens(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Literal(literal) => self.note(&Lit::new(literal), false, ""),
                TokenTree::Group(group) => self.note_tokens(group.stream()),
                _ => {}
            }
        }
    }

    /// `#[doc = "text"] counter key = "name",` of the table of metrics.
    fn note_metrics(&mut self, tokens: TokenStream) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        for (index, token) in tokens.iter().enumerate() {
            let TokenTree::Group(group) = token else { continue };
            let is_metric = matches!(tokens.get(index + 1), Some(TokenTree::Ident(kind)) if kind == "counter" || kind == "gauge");
            if !is_metric {
                self.note_metrics(group.stream());
                continue;
            }
            let text = group.stream().into_iter().find_map(|token| match token {
                TokenTree::Literal(literal) => Some(Lit::new(literal)),
                _ => None,
            });
            let name = tokens.get(index + 4).map(ToString::to_string).unwrap_or_default();
            if let Some(text) = text {
                self.note(&text, true, name.trim_matches('"'));
            }
        }
    }

    fn within(&mut self, is_text: bool, visit: impl FnOnce(&mut Self)) {
        self.depth += usize::from(is_text);
        visit(self);
        self.depth -= usize::from(is_text);
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let of_tests = match item {
            Item::Fn(item) => is_for_tests(&item.attrs),
            Item::Mod(item) => is_for_tests(&item.attrs),
            Item::Impl(item) => is_for_tests(&item.attrs),
            _ => false,
        };
        if !of_tests {
            visit::visit_item(self, item);
        }
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::List(list) = &attribute.meta
            && list.path.is_ident("error")
        {
            self.note_tokens(list.tokens.clone());
        }
    }

    fn visit_macro(&mut self, called: &'ast Macro) {
        let name = called.path.segments.last().map(|name| name.ident.to_string()).unwrap_or_default();
        if name == "metrics" {
            self.note_metrics(called.tokens.clone());
        } else if name == "ensure" {
            self.note_tokens(behind_condition(called.tokens.clone()));
        } else if self.depth > 0 || MACROS.contains(&name.as_str()) {
            self.note_tokens(called.tokens.clone());
        } else {
            // A call that makes an error may stand in any macro: `select!`, `matches!`.
            self.note_calls(called.tokens.clone());
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        self.visit_expr(&call.receiver);
        // What libogrt.so prints is put together by `text`; elsewhere that is something else.
        let is_text = METHODS.contains(&call.method.to_string().as_str())
            && (call.method != "text" || self.path.starts_with("preload"));
        self.within(is_text, |reader| call.args.iter().for_each(|argument| reader.visit_expr(argument)));
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        let is_text = matches!(&*call.func, Expr::Path(path) if path.path.segments.iter().any(|name| {
            FUNCTIONS.contains(&name.ident.to_string().as_str())
        }));
        self.within(is_text, |reader| visit::visit_expr_call(reader, call));
    }

    fn visit_lit(&mut self, literal: &'ast Lit) {
        if self.depth > 0 {
            self.note(literal, false, "");
        }
    }
}

impl Reader<'_> {
    fn note_calls(&mut self, tokens: TokenStream) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        for (index, token) in tokens.iter().enumerate() {
            let TokenTree::Group(group) = token else { continue };
            let before =
                |back: usize| index.checked_sub(back).map(|at| tokens[at].to_string()).unwrap_or_default();
            let is_macro = before(1) == "!" && MACROS.contains(&before(2).as_str());
            let is_method = before(2) == "." && METHODS.contains(&before(1).as_str());
            if is_macro || is_method {
                self.note_tokens(group.stream());
            } else {
                self.note_calls(group.stream());
            }
        }
    }
}

/// What `ensure!` says: all behind its condition.
fn behind_condition(tokens: TokenStream) -> TokenStream {
    let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ',');
    tokens.into_iter().skip_while(|token| !is_comma(token)).collect()
}

#[test]
fn messages_are_found_where_they_are_made() {
    let source = r#"
        metrics! { Metrics { #[doc = " Events received."] counter events = "ogrt_events_total", } }
        #[derive(Error)] enum E { #[error("no room in {0}")] A }
        fn f() -> Result<()> {
            let _ = "not a message";
            std::fs::read("p").with_context(|| format!("cannot read {}", "p"))?;
            tokio::select! { _ = a() => warn!("it is late") }
            words.text(b"too long").say();
            bail!("{path}: no such {thing}");
        }
        #[cfg(test)] mod tests { fn g() { panic!("of a test") } }
    "#;
    let found = all(&[("preload/src/lib.rs".into(), source.into())]);
    let texts: Vec<_> = found.iter().map(|text| text.text.as_str()).collect();
    let expected = [
        "Events received.",
        "no room in {0}",
        "cannot read {}",
        "it is late",
        "too long",
        "{path}: no such {thing}",
    ];
    assert_eq!(texts, expected);
    assert_eq!(found[0].from, "preload/src/lib.rs:2: ogrt_events_total");
}
