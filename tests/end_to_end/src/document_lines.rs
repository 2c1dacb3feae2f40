//! The lines of documents that a reader may type, and what documents show as their output.

/// A command line of a document.
#[derive(Clone, Debug)]
pub struct DocumentLine {
    /// The document and the number of the line.
    pub place: String,
    /// What is typed.
    pub command: String,
    /// What is shown as its output, line by line; empty where nothing is.
    pub output: Vec<String>,
    /// The exit status that the text after it says, 0 if it says nothing.
    pub status: i32,
}

/// The command lines of a document that call `ogrt`: those of its blocks, and what stands between
/// backquotes with arguments that are no placeholders.
pub fn read(name: &str, text: &str) -> Vec<DocumentLine> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found: Vec<DocumentLine> = Vec::new();
    let mut is_code = false;
    let mut is_answered = false;
    for (index, line) in lines.iter().enumerate() {
        let place = format!("docs/{name}.md:{}", index + 1);
        if line.starts_with("```") {
            is_code = !is_code;
            is_answered = false;
            continue;
        }
        if !is_code {
            let spans = line.split('`').skip(1).step_by(2).filter(|span| is_example(span));
            found.extend(spans.map(|span| DocumentLine {
                place: place.clone(),
                command: span.to_owned(),
                output: Vec::new(),
                status: 0,
            }));
            continue;
        }
        let typed = line.strip_prefix("$ ");
        if let Some(command) = typed.or(Some(*line)).filter(|command| calls_ogrt(command)) {
            is_answered = typed.is_some();
            let status = if is_answered { status_after(&lines[index..]) } else { 0 };
            found.push(DocumentLine { place, command: command.to_owned(), output: Vec::new(), status });
        } else if typed.is_some() {
            is_answered = false;
        } else if is_answered && let Some(last) = found.last_mut() {
            last.output.push((*line).to_owned());
        }
    }
    found
}

/// The line calls `ogrt`, perhaps after variables.
fn calls_ogrt(line: &str) -> bool {
    let mut words = line.split(' ').skip_while(|word| {
        word.split_once('=').is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
    });
    words.next() == Some("ogrt")
}

/// A command with its arguments, and not only the name of a command or of an option.
fn is_example(span: &str) -> bool {
    let words: Vec<&str> = span.split(' ').collect();
    let is_placeholder = |word: &&str| word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase());
    calls_ogrt(span)
        && words.len() > 2
        && !words.iter().any(is_placeholder)
        && words.last().is_some_and(|last| !last.starts_with('-'))
}

/// The exit status that the text after a block names first, before the next block or heading.
fn status_after(lines: &[&str]) -> i32 {
    let after = lines.iter().skip_while(|line| !line.starts_with("```")).skip(1);
    let text: Vec<&str> =
        after.take_while(|line| !line.starts_with("```") && !line.starts_with('#')).copied().collect();
    let text = text.join(" ");
    let told = ["xit status is ", "xit status: "]
        .iter()
        .filter_map(|word| text.find(word).map(|at| at + word.len()));
    let digit = told.min().and_then(|at| text[at..].chars().next()?.to_digit(10));
    digit.map_or(0, |digit| digit as i32)
}

/// What an output consists of: the heads of its tables, and the names of its values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputShape {
    /// Each head as its columns.
    pub heads: Vec<Vec<String>>,
    /// What stands before the values of a sheet.
    pub names: Vec<String>,
}

impl OutputShape {
    /// The shape of an output.
    ///
    /// A head is the first line of a paragraph, behind its title if it has one, and its columns are
    /// words without digits. A paragraph without a head is a sheet.
    pub fn of(output: &[String]) -> OutputShape {
        let mut shape = OutputShape::default();
        let (mut is_first, mut is_sheet) = (true, false);
        for line in output {
            let columns: Vec<String> = line
                .split("  ")
                .map(str::trim)
                .filter(|column| !column.is_empty())
                .map(str::to_owned)
                .collect();
            let is_title = !line.starts_with(' ');
            let is_word =
                |column: &String| column.chars().all(|c| c.is_ascii_lowercase() || "- ".contains(c));
            let is_head = is_first && !is_title && columns.len() > 1 && columns.iter().all(is_word);
            if is_first {
                is_sheet = !is_head;
            }
            if is_head {
                shape.heads.push(columns);
            } else if is_sheet && !is_title && columns.len() > 1 && is_word(&columns[0]) && columns[0] != "-"
            {
                shape.names.push(columns[0].clone());
            }
            is_first = line.is_empty() || is_title;
        }
        shape
    }

    /// What this shape has, and the other lacks.
    pub fn missing_in(&self, other: &OutputShape) -> Option<String> {
        let head = self.heads.iter().find(|head| !other.heads.contains(head));
        let name = self.names.iter().find(|name| !other.names.contains(name));
        match (head, name) {
            (Some(head), _) => Some(format!("no table with the columns {head:?}, but {:?}", other.heads)),
            (None, Some(name)) => Some(format!("no line {name:?}, but {:?}", other.names)),
            (None, None) => None,
        }
    }
}
