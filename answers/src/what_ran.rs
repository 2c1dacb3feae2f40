//! What a process really ran: `snakemake` and not `python3.11`, `gmx mdrun` and not `gmx`.
//!
//! An interpreter is called by the name of its script, a program of many tools by its name and its
//! tool. It is read of the arguments, which an event may lack: then the program's own name stands.
//! Options that are not known are taken for options without a value.

/// Programs whose first argument names one of their tools.
const TOOLBOXES: &[&str] = &[
    "ansys",
    "apptainer",
    "bcftools",
    "bedtools",
    "busybox",
    "bwa",
    "bwa-mem2",
    "cargo",
    "cdo",
    "conda",
    "docker",
    "eb",
    "flux",
    "gatk",
    "gdal",
    "git",
    "go",
    "kubectl",
    "mamba",
    "micromamba",
    "npm",
    "openssl",
    "pip",
    "podman",
    "qiime",
    "samtools",
    "seqkit",
    "singularity",
    "spack",
    "svn",
    "vg",
];

/// Programs of many tools whose names have endings, such as `gmx_mpi`.
const TOOLBOX_STEMS: &[&str] = &["gmx"];

/// A program that runs scripts.
struct Interpreter {
    /// Its names without a version at their end.
    names: &'static [&'static str],
    /// Letters of options behind which the script itself stands.
    code: &'static str,
    /// Options whose value is the next argument.
    with_value: &'static [&'static str],
    /// Options whose value names what runs.
    naming: &'static [&'static str],
    /// What stands in front of the script's name, in one argument.
    file_prefix: Option<&'static str>,
}

impl Interpreter {
    const fn new(names: &'static [&'static str], code: &'static str) -> Self {
        Interpreter { names, code, with_value: &[], naming: &[], file_prefix: None }
    }
}

const INTERPRETERS: &[Interpreter] = &[
    Interpreter {
        with_value: &["-o", "+o", "-O", "+O", "--rcfile", "--init-file"],
        ..Interpreter::new(&["ash", "bash", "csh", "dash", "fish", "ksh", "sh", "tcsh", "zsh"], "c")
    },
    Interpreter { with_value: &["-W", "-X"], naming: &["-m"], ..Interpreter::new(&["pypy", "python"], "c") },
    Interpreter { with_value: &["-I"], ..Interpreter::new(&["perl"], "eE") },
    Interpreter { with_value: &["-C", "-E", "-I", "-r"], ..Interpreter::new(&["ruby"], "e") },
    Interpreter {
        with_value: &["-g"],
        naming: &["-f"],
        file_prefix: Some("--file="),
        ..Interpreter::new(&["R", "Rscript"], "e")
    },
    Interpreter {
        with_value: &["-classpath", "-cp", "-p", "--add-modules", "--class-path", "--module-path"],
        naming: &["-jar"],
        ..Interpreter::new(&["java"], "")
    },
    Interpreter {
        with_value: &["-r", "--import", "--loader", "--require"],
        ..Interpreter::new(&["node", "nodejs"], "ep")
    },
    Interpreter { with_value: &["-C", "-H", "-J", "-L", "-p", "-t"], ..Interpreter::new(&["julia"], "eE") },
    Interpreter { with_value: &["-l"], ..Interpreter::new(&["lua", "luajit", "texlua"], "e") },
    Interpreter::new(&["octave", "octave-cli"], ""),
    Interpreter::new(&["tclsh", "wish"], ""),
];

/// Options of several interpreters behind which the script itself stands.
const CODE: &[&str] = &["--command", "--eval", "--print"];

/// Most letters of an option that is several in one.
const LETTERS_MAX: usize = 4;

/// Most characters of a tool's name.
const TOOL_MAX: usize = 40;

/// The name of what ran, by the program's path and its arguments with its own name in front.
pub fn name(program: &str, arguments: &[&str]) -> String {
    let own = base_name(program);
    let rest = arguments.get(1..).unwrap_or_default();
    let stem = own.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let stem = if stem.is_empty() { own } else { stem };
    if let Some(interpreter) = INTERPRETERS.iter().find(|one| one.names.contains(&stem)) {
        return script(interpreter, own, rest).unwrap_or_else(|| own.to_owned());
    }
    let is_toolbox = TOOLBOXES.contains(&own)
        || TOOLBOX_STEMS
            .iter()
            .any(|stem| own.strip_prefix(stem).is_some_and(|end| end.is_empty() || end.starts_with('_')));
    match rest.first().filter(|tool| is_toolbox && is_word(tool)) {
        Some(tool) => format!("{own} {tool}"),
        None => own.to_owned(),
    }
}

fn script(interpreter: &Interpreter, own: &str, arguments: &[&str]) -> Option<String> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if let Some(file) = interpreter.file_prefix.and_then(|prefix| argument.strip_prefix(prefix)) {
            return Some(base_name(file).to_owned());
        }
        let letters = argument.strip_prefix('-').filter(|letters| !letters.starts_with('-'));
        let is_code = letters.is_some_and(|letters| {
            letters.len() <= LETTERS_MAX && letters.chars().any(|letter| interpreter.code.contains(letter))
        });
        match *argument {
            "--" => return rest.next().map(|file| base_name(file).to_owned()),
            option if interpreter.naming.contains(&option) => {
                return rest.next().map(|file| base_name(file).to_owned());
            }
            option if interpreter.with_value.contains(&option) => drop(rest.next()),
            option if is_code || CODE.contains(&option) => return Some(format!("{own} {option}")),
            "" | "-" => return None,
            option if option.starts_with(['-', '+']) => {}
            file => return Some(base_name(file).to_owned()),
        }
    }
    None
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.len() <= TOOL_MAX
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-:.".contains(c))
}

/// What stands behind the last slash; all of it where nothing does.
pub fn base_name(path: &str) -> &str {
    path.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interpreter_has_the_name_of_its_script() {
        for (line, expected) in [
            ("/usr/bin/python3.11 /sw/bin/snakemake -j 4", "snakemake"),
            ("/usr/bin/python3.11 -u -W ignore train.py --lr 1", "train.py"),
            ("/usr/bin/python3 -m pip install x", "pip"),
            ("/usr/bin/python3 -c print()", "python3 -c"),
            ("/usr/bin/python3", "python3"),
            ("/bin/bash /var/spool/slurmd/job4/slurm_script", "slurm_script"),
            ("/bin/bash -l run.sh", "run.sh"),
            ("/bin/bash -lc make", "bash -lc"),
            ("/bin/sh -e -o pipefail run.sh", "run.sh"),
            ("/usr/bin/perl -w -Ilib t.pl", "t.pl"),
            ("/usr/bin/perl -ne print", "perl -ne"),
            ("/usr/lib/R/bin/exec/R --no-echo --no-restore --file=fit.R --args 1", "fit.R"),
            ("/usr/bin/java -Xmx4g -cp a.jar org.site.Main", "org.site.Main"),
            ("/usr/bin/java -jar /sw/picard.jar Sort", "picard.jar"),
            ("/usr/bin/julia -t 4 -- /home/a/run.jl", "run.jl"),
            ("/usr/bin/octave --eval x", "octave --eval"),
            ("/usr/bin/python3 -", "python3"),
        ] {
            let arguments: Vec<&str> = line.split(' ').collect();
            assert_eq!(name(arguments[0], &arguments), expected, "{line}");
        }
    }

    #[test]
    fn a_program_of_many_tools_is_named_with_its_tool_and_others_are_not() {
        for (line, expected) in [
            ("/sw/gromacs/bin/gmx mdrun -deffnm x", "gmx mdrun"),
            ("/sw/gromacs/bin/gmx_mpi mdrun", "gmx_mpi mdrun"),
            ("/sw/bin/gmxcheck mdrun", "gmxcheck"),
            ("/usr/bin/git commit -m x", "git commit"),
            ("/usr/bin/git -C /x commit", "git"),
            ("/usr/bin/git /etc/passwd", "git"),
            ("/usr/bin/sed s/a/b/", "sed"),
            ("/usr/bin/7.1 x", "7.1"),
            ("", ""),
        ] {
            let arguments: Vec<&str> = line.split(' ').collect();
            assert_eq!(name(arguments[0], &arguments), expected, "{line}");
        }
        assert_eq!(name("/usr/bin/python3.11", &[]), "python3.11", "where arguments are not known");
    }
}
