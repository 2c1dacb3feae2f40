//! Rules that name software by the path of a file: the first that fits.
//!
//! ```toml
//! [[rule]]
//! path = "/opt/vasp/{version}/bin/vasp_*"
//! software = "VASP"
//! example = "/opt/vasp/6.4.2/bin/vasp_std"
//! ```
//! `*` fits any text without `/`, `**` any text, `?` one character, `{version}` a version. A
//! pattern without `/` fits a file of that name in any directory. A rule that does not fit its own
//! example, or comes after one that does, is refused. All patterns are matched in one pass over the
//! path.

use super::{
    ConfigError,
    source::{Source, line_of},
};
use regex::bytes::{Regex, RegexSet, RegexSetBuilder};
use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor, value::SeqAccessDeserializer},
};
use std::{fmt, fs, path::Path};
use toml::Spanned;

/// Largest file, most patterns of all its rules, and the longest of them, in bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;
const PATTERNS_MAX: usize = 5000;
const PATTERN_BYTES_MAX: usize = 1024;

/// Most bytes of what all patterns are made into.
const MATCHER_BYTES_MAX: usize = 128 << 20;

/// See the module.
#[derive(Debug, Default)]
pub struct NamingRules {
    rules: Vec<Rule>,
    /// Each pattern, with the number of its rule.
    patterns: Vec<(Regex, usize)>,
    matcher: RegexSet,
    /// The name of the file.
    source: String,
}

/// The name that a rule gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleName {
    pub software: String,
    pub version: String,
    /// The file that has the rule.
    pub source: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RulesFile {
    #[serde(default)]
    rule: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    path: Spanned<Texts>,
    software: Spanned<String>,
    /// The version, where the path does not have it.
    #[serde(default)]
    version: String,
    #[serde(default)]
    example: Option<Spanned<Texts>>,
}

/// A text, or a list of them.
#[derive(Debug)]
struct Texts(Vec<String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct TextsVisitor;

        impl<'de> Visitor<'de> for TextsVisitor {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E>(self, text: &str) -> Result<Texts, E> {
                Ok(Texts(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Texts, A::Error> {
                Deserialize::deserialize(SeqAccessDeserializer::new(list)).map(Texts)
            }
        }

        input.deserialize_any(TextsVisitor)
    }
}

impl NamingRules {
    /// Reads and checks a file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let unreadable = |cause| ConfigError::Unreadable { path: name.clone(), cause };
        if fs::metadata(path).map_err(unreadable)?.len() > FILE_BYTES_MAX {
            let cause = format!("larger than {FILE_BYTES_MAX} bytes");
            return Err(ConfigError::Wrong { path: name, cause });
        }
        let text = fs::read_to_string(path).map_err(unreadable)?;
        let source = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        NamingRules::parse(&text, source).map_err(|cause| ConfigError::Wrong { path: name, cause })
    }

    /// Reads the text of a file; the error names the line.
    fn parse(text: &str, source: String) -> Result<Self, String> {
        let written = Source::parse(text)?;
        let file: RulesFile = toml::from_str(text).map_err(|error| written.explain(&error))?;
        let at = |place: usize, problem: String| format!("line {}: {problem}", line_of(text, place));
        let (mut patterns, mut expressions) = (Vec::new(), Vec::new());
        for (number, rule) in file.rule.iter().enumerate() {
            if rule.software.get_ref().trim().is_empty() {
                return Err(at(rule.software.span().start, "software: expected a name".into()));
            }
            for pattern in &rule.path.get_ref().0 {
                let wrong = |problem| at(rule.path.span().start, format!("path: \"{pattern}\": {problem}"));
                let expression = expression(pattern).map_err(|problem| wrong(problem.to_owned()))?;
                let regex = Regex::new(&expression).map_err(|_| wrong("this is too long".into()))?;
                patterns.push((regex, number));
                expressions.push(expression);
            }
        }
        if patterns.len() > PATTERNS_MAX {
            return Err(format!(
                "there are {} patterns, and at most {PATTERNS_MAX} are taken",
                patterns.len()
            ));
        }
        let matcher = RegexSetBuilder::new(expressions).size_limit(MATCHER_BYTES_MAX).build();
        let matcher = matcher.map_err(|_| "all patterns together are too long".to_owned())?;
        let rules = NamingRules { rules: file.rule, patterns, matcher, source };
        for (number, rule) in rules.rules.iter().enumerate() {
            let Some(example) = &rule.example else { continue };
            for path in &example.get_ref().0 {
                let problem = match rules.first(path.as_bytes()) {
                    Some((_, first)) if first == number => continue,
                    Some((_, first)) => {
                        let place = rules.rules[first].path.span().start;
                        format!("the rule of line {} comes first", line_of(text, place))
                    }
                    None => "no rule fits it".to_owned(),
                };
                return Err(at(example.span().start, format!("example: \"{path}\": {problem}")));
            }
        }
        Ok(rules)
    }

    /// The number of rules.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// The first pattern that fits, and the number of its rule.
    fn first(&self, path: &[u8]) -> Option<(&Regex, usize)> {
        let first = self.matcher.matches(path).into_iter().next()?;
        self.patterns.get(first).map(|(regex, rule)| (regex, *rule))
    }

    /// The name of the file at a path.
    pub fn name(&self, path: &[u8]) -> Option<RuleName> {
        let (regex, rule) = self.first(path)?;
        let rule = &self.rules[rule];
        let of_path = regex.captures(path).and_then(|captures| captures.name("version"));
        let version = of_path.map(|version| String::from_utf8_lossy(version.as_bytes()).into_owned());
        Some(RuleName {
            software: rule.software.get_ref().clone(),
            version: version.unwrap_or_else(|| rule.version.clone()),
            source: self.source.clone(),
        })
    }
}

/// The regular expression of a pattern; else what is wrong with it.
fn expression(pattern: &str) -> Result<String, &'static str> {
    if pattern.is_empty() || pattern.len() > PATTERN_BYTES_MAX {
        return Err("expected 1 to 1024 bytes");
    }
    let begin = match (pattern.starts_with('/'), pattern.contains('/')) {
        (true, _) => "(?s-u)^",
        (false, false) => "(?s-u)^(?:.*/)?",
        (false, true) => return Err("expected a path that begins with /, or the name of a file"),
    };
    let (mut expression, mut rest) = (begin.to_owned(), pattern);
    let mut has_version = false;
    while let Some(letter) = rest.chars().next() {
        if let Some(behind) = rest.strip_prefix("{version}") {
            if has_version {
                return Err("{version} stands there twice");
            }
            has_version = true;
            expression.push_str("(?P<version>[^/]+)");
            rest = behind;
            continue;
        }
        let (part, len) = match letter {
            '*' if rest.starts_with("**") => (".*".to_owned(), 2),
            '*' => ("[^/]*".to_owned(), 1),
            '?' => ("[^/]".to_owned(), 1),
            '{' | '}' => return Err("expected {version} as the only word in braces"),
            // Byte by byte: a path need not be UTF-8.
            _ => {
                (letter.to_string().bytes().map(|byte| format!("\\x{byte:02x}")).collect(), letter.len_utf8())
            }
        };
        expression.push_str(&part);
        rest = &rest[len..];
    }
    Ok(expression + "$")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> NamingRules {
        NamingRules::parse(text, "site.toml".into()).unwrap_or_else(|problem| panic!("{problem}: {text}"))
    }

    #[test]
    fn the_first_rule_that_fits_gives_the_name_and_the_path_the_version() {
        let rules = rules(
            "[[rule]]\npath = \"/opt/vasp/{version}/bin/vasp_*\"\nsoftware = \"VASP\"\n\
             [[rule]]\npath = [\"/opt/**/lib/*.so\", \"gmx?\"]\nsoftware = \"Other\"\nversion = \"1\"\n\
             [[rule]]\npath = \"/opt/**\"\nsoftware = \"Rest\"\n",
        );
        let name = |path: &str| {
            rules.name(path.as_bytes()).map(|name| format!("{} {}", name.software, name.version))
        };
        let named = |path: &str, expected: &str| assert_eq!(name(path).as_deref(), Some(expected), "{path}");
        named("/opt/vasp/6.4.2/bin/vasp_std", "VASP 6.4.2");
        named("/opt/vasp/6.4.2/bin/other", "Rest ");
        named("/opt/vasp/6/x/bin/vasp_std", "Rest ");
        named("/opt/a/b/lib/libx.so", "Other 1");
        named("/home/ann/gmx5", "Other 1");
        named("gmx5", "Other 1");
        assert_eq!(
            [name("/home/gmx"), name("/home/gmx/5"), name("/home/xgmx5"), name("")],
            [None, None, None, None]
        );
        assert_eq!(rules.name(b"/opt/\xFF").unwrap().source, "site.toml");
        assert_eq!((rules.len(), NamingRules::default().name(b"/x")), (3, None));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, expected) in [
            ("[[rule]]\npath = \"/a\"\n", "line 1: rule: missing key `software`"),
            (
                "[[rule]]\npath = \"/a\"\nsoftware = \"A\"\ncolour = \"red\"\n",
                "line 4: rule.colour: unknown key",
            ),
            ("[[rule]]\npath = 5\nsoftware = \"A\"\n", "line 2: rule.path: wrong type"),
            ("[[rule]]\nsoftware = \"\"\npath = \"/a\"\n", "line 2: software: expected a name"),
            ("[[rule]]\nsoftware = \"A\"\n\npath = \"a/b\"\n", "line 4: path: \"a/b\": expected a path"),
            (
                "[[rule]]\npath = \"/{name}\"\nsoftware = \"A\"\n",
                "line 2: path: \"/{name}\": expected {version}",
            ),
            ("[[rule]]\npath = \"/{version}{version}\"\nsoftware = \"A\"\n", "twice"),
            ("[[rule]]\npath = \"\"\nsoftware = \"A\"\n", "expected 1 to 1024 bytes"),
            (
                "[[rule]]\npath = \"/a\"\nsoftware = \"A\"\nexample = \"/b\"\n",
                "line 4: example: \"/b\": no rule fits it",
            ),
            (
                "[[rule]]\npath = \"/**\"\nsoftware = \"A\"\n[[rule]]\npath = \"/b\"\nsoftware = \"B\"\nexample = \"/b\"\n",
                "line 7: example: \"/b\": the rule of line 2 comes first",
            ),
            ("rule = 5", "line 1: rule: wrong type"),
            ("not toml", "line 1: "),
        ] {
            let problem = NamingRules::parse(text, String::new()).unwrap_err();
            assert!(problem.contains(expected), "{text}: {problem}");
        }
        let many = "[[rule]]\npath = \"a\"\nsoftware = \"A\"\n".repeat(PATTERNS_MAX + 1);
        assert!(NamingRules::parse(&many, String::new()).unwrap_err().contains("at most 5000"));
    }

    #[test]
    fn many_long_patterns_are_matched_in_little_time() {
        let hard = format!("/{}x", "**a".repeat(300));
        let text = format!("[[rule]]\npath = \"{hard}\"\nsoftware = \"A\"\n").repeat(20);
        let rules = rules(&text);
        let path = format!("/{}", "a".repeat(4000));
        let begin = std::time::Instant::now();
        assert_eq!(rules.name(path.as_bytes()), None);
        assert!(begin.elapsed().as_secs() < 10, "{:?}", begin.elapsed());
    }

    #[test]
    fn each_rule_of_the_starter_fits_its_own_example() {
        let text = include_str!("../../rules/hpc.toml");
        let rules = rules(text);
        assert!(rules.len() >= 100, "{}", rules.len());
        for rule in &rules.rules {
            let examples = &rule.example.as_ref().expect("an example").get_ref().0;
            assert_eq!(examples.len(), 1, "{rule:?}");
            let name = rules.name(examples[0].as_bytes()).unwrap();
            assert_eq!(&name.software, rule.software.get_ref());
        }
    }
}
