//! The `ogrt` command that gives what a table shows.

/// A command line that a shell reads as these words.
pub fn line(words: &[&str]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// A command with options. Those without a value are left out.
pub fn with_options(words: &[&str], options: &[(&str, &str)]) -> String {
    let given = options.iter().filter(|(_, value)| !value.is_empty());
    let options = given.flat_map(|(option, value)| [*option, *value]);
    line(&words.iter().copied().chain(options).collect::<Vec<_>>())
}

/// The word as a shell reads it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    if word.chars().any(char::is_control) {
        let escaped = word.escape_default().to_string().replace('\'', "\\'");
        return format!("$'{escaped}'");
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_each_word_back() {
        let words = ["plain/word-1.2", "two words", "it's", "$(reboot)", "", "a;b", "*"];
        let mut shell = std::process::Command::new("sh");
        let script = format!("printf '%s\\n' {}", line(&words));
        let out = shell.args(["-c", &script]).output().unwrap();
        let lines: Vec<String> = String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect();
        assert_eq!(lines, words);
    }

    #[test]
    fn an_option_without_a_value_is_left_out() {
        let command = with_options(&["ogrt", "jobs"], &[("--user", "ann"), ("--account", "")]);
        assert_eq!(command, "ogrt jobs --user ann");
    }
}
