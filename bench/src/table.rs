//! Tables, for a Markdown page or for the console.

/// The median of the rounds of a measurement, for a cell.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

/// A table; its first column is aligned to the left, all others to the right.
pub(crate) struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new<T: Into<String>>(header: impl IntoIterator<Item = T>) -> Self {
        Self { header: header.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Adds a row. It may be shorter than the header; as text it may have one more cell, a remark.
    pub(crate) fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// The table in Markdown, with a blank line after it.
    pub(crate) fn markdown(&self) -> String {
        let line = |cells: &[String]| {
            let cells = (0..self.header.len()).map(|column| cells.get(column).map_or("", String::as_str));
            let cells: String =
                cells.map(|cell| if cell.is_empty() { " |".into() } else { format!(" {cell} |") }).collect();
            format!("|{cells}\n")
        };
        let rule = "--:|".repeat(self.header.len().saturating_sub(1));
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        format!("{}|---|{rule}\n{rows}\n", line(&self.header))
    }

    /// The table in aligned columns.
    pub(crate) fn text(&self) -> String {
        let rows = || std::iter::once(&self.header).chain(&self.rows);
        let width =
            |column: usize| rows().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
        let line = |row: &Vec<String>| {
            let cells = row.iter().enumerate().map(|(column, cell)| match (column, width(column)) {
                (0, width) => format!("{cell:<0$}", width.unwrap_or(0)),
                (column, _) if column == self.header.len() => format!("   {cell}"),
                (_, width) => format!("  {cell:>0$}", width.unwrap_or(0).max(8)),
            });
            cells.collect::<String>() + "\n"
        };
        rows().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_rendered_as_markdown_and_as_text() {
        let mut table = Table::new(["", "ms", "of Gin"]);
        table.row(["Gin", "1.5", "1.00"]);
        table.row(["wasmtime", "not available"]);
        let markdown =
            "| | ms | of Gin |\n|---|--:|--:|\n| Gin | 1.5 | 1.00 |\n| wasmtime | not available | |\n\n";
        assert_eq!(table.markdown(), markdown);
        let text =
            "                     ms    of Gin\nGin                 1.5      1.00\nwasmtime  not available\n";
        assert_eq!(table.text(), text);
    }
}
