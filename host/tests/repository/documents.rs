//! Documents match the repository: every link has a target, every path exists, and the option table is that of the program.

use std::{
    collections::HashMap,
    fmt::Write,
    fs,
    path::{Component, Path, PathBuf},
};

use clap::CommandFactory;
use orders_host::config::Cli;

use crate::repository;

/// Paths in backticks that need not exist, by their beginning, each with the reason.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("target/", "a build creates it"),
    ("terraform/environments/NAME", "stands for any environment"),
    ("deploy/certificates/rds-ca.pem", "the operator downloads it: deploy/certificates/README.md"),
];

/// Extensions of files in this repository. A word in backticks that ends with one is a path, or the name of a file.
const EXTENSIONS: &[&str] = &[
    "css", "go", "hcl", "html", "js", "json", "lua", "md", "mjs", "py", "rs", "sh", "sql", "svg", "tf",
    "toml", "wit", "yaml", "yml",
];

/// Folders that no document is in, and that are not searched for files.
const UNSEARCHED: &[&str] = &[".git", "target", "data", "node_modules"];

/// All files of the repository, relative to it.
fn files() -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![repository().to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if !path.is_dir() {
                files.push(path.strip_prefix(repository()).unwrap().to_owned());
            } else if !UNSEARCHED.contains(&name) {
                folders.push(path);
            }
        }
    }
    files
}

/// What a document refers to.
#[derive(Debug, Default, PartialEq, Eq)]
struct References {
    /// Targets of links and images within the repository.
    links: Vec<String>,
    /// Words in backticks, and those of code blocks that name a file below a folder of the repository.
    words: Vec<String>,
    /// What a link can lead to: the anchors of headings, as GitHub makes them.
    anchors: Vec<String>,
}

/// Reads a document. `folders` are the folders at the root of the repository.
fn references(text: &str, folders: &[String]) -> References {
    let mut references = References::default();
    let mut counts: HashMap<String, usize> = HashMap::new();
    let (mut fenced, mut prose) = (false, String::new());
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced || line.starts_with("    ") {
            let below = line.split_whitespace().filter(|word| is_below(word, folders));
            references.words.extend(below.map(str::to_owned));
        } else if let Some(heading) = line.strip_prefix('#') {
            let anchor = anchor(heading.trim_start_matches('#').trim());
            let count = counts.entry(anchor.clone()).or_default();
            references.anchors.push(if *count == 0 { anchor } else { format!("{anchor}-{count}") });
            *count += 1;
        }
        if !fenced && !line.starts_with("    ") {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    // A link in backticks is text. Every second piece between backticks is within a pair of them.
    let mut linking = String::new();
    for (index, piece) in prose.split('`').enumerate() {
        if index % 2 == 1 {
            references.words.extend(piece.split_whitespace().map(str::to_owned));
        } else {
            linking.push_str(piece);
        }
    }
    let targets =
        linking.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let within = |target: &&str| !target.contains("://") && !target.starts_with("mailto:");
    references.links = targets.filter(within).map(str::to_owned).collect();
    references
}

/// The anchor that GitHub makes of a heading.
fn anchor(heading: &str) -> String {
    let letters =
        heading.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
    letters.flat_map(char::to_lowercase).map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

/// The path that a word in backticks names, if it names one.
///
/// - It consists of the characters of paths: globs, URLs and options have others.
/// - It begins with a folder at the root of the repository and a slash, or ends with an extension of files that are here.
///   Absolute paths belong to a machine or to the API.
fn path(word: &str, folders: &[String]) -> Option<String> {
    let word = word.trim_end_matches([',', ';', '.', ')']).trim_start_matches('(');
    let word = word.strip_prefix("./").unwrap_or(word);
    let plain = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte));
    if !plain || word.starts_with('/') || word.starts_with("..") {
        return None;
    }
    let extension = Path::new(word).extension().and_then(|extension| extension.to_str());
    let is_a_file = extension.is_some_and(|extension| EXTENSIONS.contains(&extension));
    (is_below(word, folders) || is_a_file).then(|| word.to_owned())
}

/// Whether a word begins with one of these folders and a slash.
fn is_below(word: &str, folders: &[String]) -> bool {
    word.split_once('/').is_some_and(|(first, _)| folders.iter().any(|folder| folder == first))
}

/// The exception that covers a path.
fn exception(path: &str) -> Option<&'static str> {
    EXCEPTIONS.iter().map(|(beginning, _)| *beginning).find(|beginning| path.starts_with(beginning))
}

/// A path without `.` and `..`.
fn normalized(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut path, component| {
        match component {
            Component::ParentDir => {
                path.pop();
            }
            Component::CurDir => {}
            other => path.push(other),
        }
        path
    })
}

/// What is wrong with the document of this name: links that lead nowhere, and paths that do not exist.
///
/// Decision records describe the past, so the files that they name may have moved. Their links must lead somewhere.
fn broken_references(
    name: &Path,
    references: &References,
    all: &[PathBuf],
    folders: &[String],
) -> Vec<String> {
    let mut faults = Vec::new();
    let folder = name.parent().unwrap();
    let exists = |path: &Path| all.iter().any(|file| file.starts_with(path));
    for link in &references.links {
        let (target, fragment) = link.split_once('#').unwrap_or((link, ""));
        let target = if target.is_empty() { name.to_owned() } else { normalized(&folder.join(target)) };
        if !exists(&target) {
            faults.push(format!("{}: the link {link} has no target", name.display()));
        } else if !fragment.is_empty() {
            let text = fs::read_to_string(repository().join(&target)).unwrap_or_default();
            if !self::references(&text, folders).anchors.iter().any(|anchor| anchor == fragment) {
                faults.push(format!("{}: there is no heading for {link}", name.display()));
            }
        }
    }
    if name.starts_with("docs/adr") {
        return faults;
    }
    for path in references.words.iter().filter_map(|word| path(word, folders)) {
        // Relative to the repository; a bare name stands for a file of that name, wherever it is.
        let found = exists(Path::new(&path))
            || !path.contains('/')
                && all.iter().any(|file| file.file_name().is_some_and(|name| *name == *path));
        if exception(&path).is_none() && !found {
            faults.push(format!("{}: `{path}` does not exist", name.display()));
        }
    }
    faults
}

/// The folders at the root of the repository that have files.
fn folders_of(all: &[PathBuf]) -> Vec<String> {
    let first = |file: &PathBuf| Some(file.parent()?.iter().next()?.to_str()?.to_owned());
    let mut folders: Vec<_> = all.iter().filter_map(first).collect();
    folders.sort();
    folders.dedup();
    // Documents name what a build leaves there.
    folders.push("target".to_owned());
    folders
}

#[test]
fn every_link_and_every_path_in_a_document_exists() {
    let all = files();
    let folders = folders_of(&all);
    let documents: Vec<_> = all.iter().filter(|file| file.extension().is_some_and(|it| it == "md")).collect();
    assert!(documents.len() > 25, "only {} documents", documents.len());
    let (mut wrong, mut links, mut paths, mut excepted) = (Vec::new(), 0, 0, Vec::new());
    for name in documents {
        let text = fs::read_to_string(repository().join(name)).unwrap();
        let references = references(&text, &folders);
        links += references.links.len();
        for path in references.words.iter().filter_map(|word| path(word, &folders)) {
            paths += 1;
            excepted.extend(exception(&path));
        }
        wrong.extend(broken_references(name, &references, &all, &folders));
    }
    assert!(links > 50 && paths > 50, "only {links} links and {paths} paths were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (beginning, _) in EXCEPTIONS {
        assert!(excepted.contains(beginning), "no document names {beginning} any more: remove the exception");
    }
}

#[test]
fn the_check_of_documents_sees_links_paths_and_anchors() {
    let text = "\
# A title, with `code` (and more)
See [one](other.md#a-part), [two](https://example.com/x.md) and ![three](gone.svg).
`host/src/lib.rs`, `cargo run host/src/gone.rs`, `/health`, `lib.rs`, `gone.rs`, `--store sqlite:x.db`
`[no](link.md)` and `target/dist/x.json`
## Twice
## Twice

    $ deploy/gone --now
    plain host
";
    let folders = ["deploy", "host"].map(str::to_owned);
    let seen = references(text, &folders);
    assert_eq!(seen.links, ["other.md#a-part", "gone.svg"]);
    assert_eq!(seen.anchors, ["a-title-with-code-and-more", "twice", "twice-1"]);
    let paths: Vec<_> = seen.words.iter().filter_map(|word| path(word, &folders)).collect();
    assert_eq!(
        paths,
        ["deploy/gone", "host/src/lib.rs", "host/src/gone.rs", "lib.rs", "gone.rs", "target/dist/x.json"]
    );

    let all = ["host/src/lib.rs", "docs/page.md"].map(PathBuf::from);
    let wrong = broken_references(Path::new("docs/page.md"), &seen, &all, &folders);
    assert_eq!(
        wrong,
        [
            "docs/page.md: the link other.md#a-part has no target",
            "docs/page.md: the link gone.svg has no target",
            "docs/page.md: `deploy/gone` does not exist",
            "docs/page.md: `host/src/gone.rs` does not exist",
            "docs/page.md: `gone.rs` does not exist",
        ]
    );
    // A decision record may name a file that is gone.
    assert_eq!(broken_references(Path::new("docs/adr/0001-x.md"), &seen, &all, &folders).len(), 2);
}

#[test]
fn a_link_to_a_missing_heading_is_a_fault() {
    let references =
        References { links: vec!["README.md#no-such-heading".to_owned()], ..References::default() };
    let wrong = broken_references(Path::new("CONTRIBUTING.md"), &references, &files(), &[]);
    assert_eq!(wrong, ["CONTRIBUTING.md: there is no heading for README.md#no-such-heading"]);
}

/// The table of options in docs/configuration.md says what `--help` says.
#[test]
fn the_options_in_the_documents_are_those_of_the_program() {
    let mut command = Cli::command();
    command.build();
    let serve = command.find_subcommand("serve").unwrap();
    let mut table = String::from("| Option | Variable | Default | |\n|---|---|---|---|\n");
    for option in serve.get_arguments().filter(|option| option.get_env().is_some()) {
        let takes_value = option.get_action().takes_values();
        let value =
            if takes_value { format!(" {}", option.get_value_names().unwrap()[0]) } else { String::new() };
        let default = match option.get_default_values().first() {
            Some(default) => format!("`{}`", default.to_str().unwrap()),
            None if option.is_required_set() => "required".to_owned(),
            None if takes_value => "none".to_owned(),
            None => "`false`".to_owned(),
        };
        let name = option.get_long().unwrap();
        let variable = option.get_env().unwrap().to_str().unwrap();
        let help = option.get_help().unwrap().to_string().replace('|', "\\|");
        writeln!(table, "| `--{name}{value}` | `{variable}` | {default} | {help} |").unwrap();
    }
    let page = fs::read_to_string(repository().join("docs/configuration.md")).unwrap();
    let written = page
        .split_once("compares this table with the program -->\n")
        .and_then(|(_, rest)| rest.split_once("<!-- end of options -->"))
        .unwrap()
        .0;
    assert_eq!(written.trim(), table.trim(), "docs/configuration.md should have\n\n{table}");
}

/// The loop that docs/api.md shows is the file that a test runs.
#[test]
fn the_loop_that_follows_orders_is_shown_as_it_is() {
    let page = fs::read_to_string(repository().join("docs/api.md")).unwrap();
    let shown = page.split_once("```python\n").and_then(|(_, rest)| rest.split_once("```\n")).unwrap().0;
    let file = fs::read_to_string(repository().join("examples/follow-orders.py")).unwrap();
    assert_eq!(shown, file, "docs/api.md should show examples/follow-orders.py");
}
