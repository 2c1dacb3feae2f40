//! The modules of a package as its sources declare them, and which module's items each of them
//! uses.
//!
//! syn reads the sources: strings, comments, macros and nested `use` are its daily bread, and a
//! tokenizer of ours would know less. What is compiled for tests alone is left out. A path belongs
//! to the deepest module that it names, so an item that a folder's mod.rs hands on is an import of
//! the folder.

use proc_macro2::{TokenStream, TokenTree};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};
use syn::{
    Attribute, File, ImplItem, Item, Macro, Meta, UseTree, Visibility,
    spanned::Spanned,
    visit::{self, Visit},
};

/// A module, and where its text stands.
#[derive(Debug)]
pub struct Module {
    /// Names from the crate's root down to it; empty for the root.
    pub names: Vec<String>,
    pub file: PathBuf,
    pub children: BTreeMap<String, usize>,
    parent: Option<usize>,
}

/// One module that uses another's items.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Import {
    pub from: usize,
    pub to: usize,
    pub line: usize,
}

/// All modules of a package: a tree for each of its targets.
#[derive(Debug, Default)]
pub struct Modules {
    pub all: Vec<Module>,
    pub roots: Vec<usize>,
    pub imports: BTreeSet<Import>,
    /// Every file that a `mod` names, those for tests as well.
    pub files: BTreeSet<PathBuf>,
    /// Name by which other targets call the library, and its root.
    library: Option<(String, usize)>,
}

impl Modules {
    /// Reads the targets whose root files these are. `library` is the name and root file of the
    /// package's library.
    pub fn read(roots: &[PathBuf], library: Option<(&str, &Path)>) -> Modules {
        let mut modules = Modules::default();
        let mut sources = Vec::new();
        for file in roots {
            let root = modules.add(None, Vec::new(), file.clone());
            modules.roots.push(root);
            if let Some((name, _)) = library.filter(|(_, path)| path == file) {
                modules.library = Some((name.replace('-', "_"), root));
            }
            modules.read_file(root, &file.with_file_name(""), &mut sources);
        }
        for (module, items) in sources {
            modules.read_imports(module, &items);
        }
        modules
    }

    fn add(&mut self, parent: Option<usize>, names: Vec<String>, file: PathBuf) -> usize {
        self.all.push(Module { names, file, children: BTreeMap::new(), parent });
        self.all.len() - 1
    }

    /// `folder` is where the files of the module's children lie.
    fn read_file(&mut self, module: usize, folder: &Path, sources: &mut Vec<(usize, Vec<Item>)>) {
        let path = self.all[module].file.clone();
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let File { items, .. } =
            syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        self.files.insert(path);
        self.read_items(module, folder, items, sources);
    }

    fn read_items(
        &mut self,
        module: usize,
        folder: &Path,
        items: Vec<Item>,
        sources: &mut Vec<(usize, Vec<Item>)>,
    ) {
        let mut own = Vec::new();
        for item in items {
            let Item::Mod(declared) = item else {
                own.push(item);
                continue;
            };
            let name = declared.ident.to_string();
            let below = folder.join(&name);
            let of_tests = is_for_tests(&declared.attrs);
            let file = match &declared.content {
                Some(_) => self.all[module].file.clone(),
                None => declared_file(&declared.attrs, folder, &name, &self.all[module].file),
            };
            if of_tests {
                let is_a_file = declared.content.is_none();
                self.files.insert(file.clone());
                if is_a_file {
                    self.add_files_below(&below, &file);
                }
                continue;
            }
            let mut names = self.all[module].names.clone();
            names.push(name.clone());
            let child = self.add(Some(module), names, file);
            self.all[module].children.insert(name, child);
            match declared.content {
                Some((_, items)) => self.read_items(child, &below, items, sources),
                None => self.read_file(child, &below, sources),
            }
        }
        sources.push((module, own));
    }

    /// Adds the files that a module of tests names, however deep; its imports are not looked at.
    fn add_files_below(&mut self, folder: &Path, file: &Path) {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        for item in parsed.items {
            let Item::Mod(declared) = item else { continue };
            if declared.content.is_none() {
                let name = declared.ident.to_string();
                let child = declared_file(&declared.attrs, folder, &name, file);
                self.files.insert(child.clone());
                self.add_files_below(&folder.join(&name), &child);
            }
        }
    }

    fn read_imports(&mut self, module: usize, items: &[Item]) {
        let mut reader = Reader { modules: self, module, aliases: BTreeMap::new(), found: Vec::new() };
        for item in items {
            reader.note_aliases(item);
        }
        for item in items {
            reader.visit_item(item);
        }
        let found = reader.found;
        let file = self.all[module].file.clone();
        for (to, line) in found {
            if self.all[to].file != file {
                self.imports.insert(Import { from: module, to, line });
            }
        }
    }
}

/// The file of `mod name;`, which `#[path]` may name.
fn declared_file(attributes: &[Attribute], folder: &Path, name: &str, of: &Path) -> PathBuf {
    let named =
        attributes.iter().filter(|attribute| attribute.path().is_ident("path")).find_map(|attribute| {
            let Meta::NameValue(pair) = &attribute.meta else { return None };
            let syn::Expr::Lit(value) = &pair.value else { return None };
            let syn::Lit::Str(path) = &value.lit else { return None };
            of.with_file_name(path.value()).canonicalize().ok()
        });
    let by_name = [folder.join(format!("{name}.rs")), folder.join(name).join("mod.rs")];
    named.or_else(|| by_name.into_iter().find(|path| path.exists())).unwrap_or_else(|| {
        panic!("{}: mod {name}: no file of that name in {}", of.display(), folder.display())
    })
}

/// `#[cfg(test)]`, alone or within `all()`, or `#[test]`.
pub fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => {
            let condition = list.tokens.to_string();
            condition == "test" || condition.replace(' ', "").starts_with("all(test")
        }
        meta => meta.path().is_ident("test"),
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

struct Reader<'a> {
    modules: &'a Modules,
    module: usize,
    /// Modules that this one has given a name by `use`.
    aliases: BTreeMap<String, usize>,
    found: Vec<(usize, usize)>,
}

impl Reader<'_> {
    fn note_aliases(&mut self, item: &Item) {
        if let Item::Use(item) = item {
            let mut leaves = Vec::new();
            flatten(&item.tree, &mut Vec::new(), &mut leaves);
            for (names, alias, _) in leaves {
                if let Some((module, true)) = self.resolve(&names) {
                    self.aliases.insert(alias, module);
                }
            }
        }
    }

    /// The deepest module that a path names, and whether that is all of the path.
    fn resolve(&self, names: &[String]) -> Option<(usize, bool)> {
        let modules = &self.modules.all;
        let mut rest = names.iter();
        let first = rest.next()?;
        let mut at = match first.as_str() {
            "crate" => {
                let mut at = self.module;
                while let Some(parent) = modules[at].parent {
                    at = parent;
                }
                at
            }
            "self" => self.module,
            "super" => modules[self.module].parent?,
            name => match (modules[self.module].children.get(name), self.aliases.get(name)) {
                (Some(child), _) => *child,
                (None, Some(module)) => *module,
                (None, None) => self
                    .modules
                    .library
                    .as_ref()
                    .filter(|(library, _)| library == name)
                    .map(|(_, root)| *root)?,
            },
        };
        for name in rest {
            at = match (name.as_str(), modules[at].children.get(name)) {
                ("self", _) => at,
                ("super", _) => modules[at].parent?,
                (_, Some(child)) => *child,
                (_, None) => return Some((at, false)),
            };
        }
        Some((at, true))
    }

    fn note(&mut self, names: &[String], line: usize) {
        if names.len() > 1
            && let Some((module, _)) = self.resolve(names)
        {
            self.found.push((module, line));
        }
    }

    /// Paths in what a macro is given, which syn leaves as it stands.
    fn note_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let (mut colons, mut line) = (0, 0);
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 || path.is_empty() {
                        self.note(&path, line);
                        path.clear();
                    }
                    if path.is_empty() {
                        line = ident.span().start().line;
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' => colons += 1,
                other => {
                    self.note(&path, line);
                    path.clear();
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.note_tokens(group.stream());
                    }
                }
            }
        }
        self.note(&path, line);
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_for_tests(attributes(item)) {
            self.note_aliases(item);
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let attributes = match item {
            ImplItem::Const(item) => &item.attrs,
            ImplItem::Fn(item) => &item.attrs,
            ImplItem::Type(item) => &item.attrs,
            _ => return visit::visit_impl_item(self, item),
        };
        if !is_for_tests(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let mut leaves = Vec::new();
        flatten(&item.tree, &mut Vec::new(), &mut leaves);
        for (names, _, line) in leaves {
            self.note(&names, line);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.note(&names, path.span().start().line);
        visit::visit_path(self, path);
    }

    /// `pub(in crate::x)` uses nothing.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_macro(&mut self, called: &'ast Macro) {
        self.note_tokens(called.tokens.clone());
        visit::visit_macro(self, called);
    }

    /// serde is told of functions by paths in strings.
    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::List(list) = &attribute.meta {
            for token in list.tokens.clone() {
                if let Ok(text) = syn::parse_str::<syn::LitStr>(&token.to_string())
                    && let Ok(path) = text.parse::<syn::Path>()
                {
                    let names: Vec<_> = path.segments.iter().map(|name| name.ident.to_string()).collect();
                    self.note(&names, attribute.span().start().line);
                }
            }
            self.note_tokens(list.tokens.clone());
        }
    }
}

/// Each name that a `use` brings in: its path, the name that it has here, and the line.
fn flatten(tree: &UseTree, before: &mut Vec<String>, leaves: &mut Vec<(Vec<String>, String, usize)>) {
    let mut leaf = |name: &syn::Ident, alias: &syn::Ident| {
        let mut names = before.clone();
        if name != "self" {
            names.push(name.to_string());
        }
        let alias =
            if alias == "self" { names.last().cloned().unwrap_or_default() } else { alias.to_string() };
        leaves.push((names, alias, name.span().start().line));
    };
    match tree {
        UseTree::Name(name) => leaf(&name.ident, &name.ident),
        UseTree::Rename(rename) => leaf(&rename.ident, &rename.rename),
        UseTree::Glob(glob) => {
            // Two names at least make a path.
            let mut names = before.clone();
            names.push("*".to_owned());
            leaves.push((names, String::new(), glob.span().start().line));
        }
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            flatten(&path.tree, before, leaves);
            before.pop();
        }
        UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, before, leaves)),
    }
}
