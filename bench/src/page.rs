//! `docs/benchmarks.md` and its chart. `bench` writes the page up to the section about rollouts, and `rollouts` that section.

use std::{
    fs,
    path::{Path, PathBuf},
};

use xtask::{
    command::{TaskError, file_error},
    workspace,
};

/// The heading of the last section.
pub(crate) const ROLLOUTS: &str = "## Rollouts";

/// Writes the page up to the section about rollouts.
pub(crate) fn write_comparison(text: &str) -> Result<(), TaskError> {
    write_page(|page| join(text, split(page).1))
}

/// Writes the section about rollouts, which begins with [`ROLLOUTS`].
pub(crate) fn write_rollouts(section: &str) -> Result<(), TaskError> {
    write_page(|page| join(split(page).0, section))
}

/// Writes the chart.
pub(crate) fn write_chart(svg: &str) -> Result<(), TaskError> {
    write(&docs().join("benchmarks.svg"), svg)
}

fn write_page(change: impl FnOnce(&str) -> String) -> Result<(), TaskError> {
    let path = docs().join("benchmarks.md");
    let page = fs::read_to_string(&path).map_err(|error| file_error(&path, &error))?;
    write(&path, &change(&page))
}

/// The page up to the section about rollouts, and that section.
fn split(page: &str) -> (&str, &str) {
    page.split_at(page.find(ROLLOUTS).unwrap_or(page.len()))
}

fn join(comparison: &str, rollouts: &str) -> String {
    format!("{}\n\n{}", comparison.trim_end(), rollouts.trim_end()).trim_end().to_owned() + "\n"
}

fn docs() -> PathBuf {
    workspace().join("docs")
}

fn write(path: &Path, text: &str) -> Result<(), TaskError> {
    fs::write(path, text).map_err(|error| file_error(path, &error))?;
    eprintln!("wrote {}", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_replaces_its_part_of_the_page() {
        let page = join("# Benchmarks\n\n1\n", "");
        assert_eq!(page, "# Benchmarks\n\n1\n");
        let page = join(split(&page).0, "## Rollouts\n\n2\n\n");
        assert_eq!(page, "# Benchmarks\n\n1\n\n## Rollouts\n\n2\n");
        assert_eq!(join("# Benchmarks\n\n3\n", split(&page).1), "# Benchmarks\n\n3\n\n## Rollouts\n\n2\n");
        assert_eq!(join(split(&page).0, "## Rollouts\n\n4"), "# Benchmarks\n\n1\n\n## Rollouts\n\n4\n");
    }
}
