//! `docs/benchmarks.md` and its chart. `bench` writes the beginning of the page, `rollouts` and `readers` a section each.

use std::{
    fs,
    path::{Path, PathBuf},
};

use xtask::{
    command::{TaskError, file_error},
    workspace,
};

/// The headings of the sections that other commands write, in this order. The comparison comes before them.
pub(crate) const ROLLOUTS: &str = "## Rollouts";
pub(crate) const READERS: &str = "## Clients that do not read";

/// Writes the comparison.
pub(crate) fn write_comparison(text: &str) -> Result<(), TaskError> {
    write_page(|page| Page { comparison: text, ..Page::split(page) }.join())
}

/// Writes the section about rollouts, which begins with [`ROLLOUTS`].
pub(crate) fn write_rollouts(section: &str) -> Result<(), TaskError> {
    write_page(|page| Page { rollouts: section, ..Page::split(page) }.join())
}

/// Writes the section about clients that do not read, which begins with [`READERS`].
pub(crate) fn write_readers(section: &str) -> Result<(), TaskError> {
    write_page(|page| Page { readers: section, ..Page::split(page) }.join())
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

/// The parts of the page. A part that was never written is empty.
#[derive(Clone, Copy)]
struct Page<'page> {
    comparison: &'page str,
    rollouts: &'page str,
    readers: &'page str,
}

impl<'page> Page<'page> {
    fn split(page: &'page str) -> Self {
        let from = |text: &'page str, heading: &str| text.split_at(text.find(heading).unwrap_or(text.len()));
        let (page, readers) = from(page, READERS);
        let (comparison, rollouts) = from(page, ROLLOUTS);
        Self { comparison, rollouts, readers }
    }

    fn join(self) -> String {
        let parts = [self.comparison, self.rollouts, self.readers].map(str::trim_end);
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join("\n\n") + "\n"
    }
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
        let page = Page { comparison: "# Benchmarks\n\n1\n", rollouts: "", readers: "" }.join();
        assert_eq!(page, "# Benchmarks\n\n1\n");
        let page = Page { readers: "## Clients that do not read\n\n2\n\n", ..Page::split(&page) }.join();
        assert_eq!(page, "# Benchmarks\n\n1\n\n## Clients that do not read\n\n2\n");
        let page = Page { rollouts: "## Rollouts\n\n3", ..Page::split(&page) }.join();
        assert_eq!(page, "# Benchmarks\n\n1\n\n## Rollouts\n\n3\n\n## Clients that do not read\n\n2\n");
        let page = Page { comparison: "# Benchmarks\n\n4\n", ..Page::split(&page) }.join();
        assert_eq!(page, "# Benchmarks\n\n4\n\n## Rollouts\n\n3\n\n## Clients that do not read\n\n2\n");
    }
}
