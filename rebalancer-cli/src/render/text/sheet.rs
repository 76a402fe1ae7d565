//! A table with one line per row, in the widest form that fits.

use clap::builder::styling::Style;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use textwrap::core::display_width;

use super::screen::{BOLD, Sheet};

/// What stands where nothing is known.
pub const UNKNOWN: &str = "-";

/// The columns of a table: the heading of each, and its cell in a row.
pub struct Columns<'a, R> {
    headings: Vec<&'a str>,
    cells: Vec<CellOf<'a, R>>,
}

/// What a column shows of a row.
type CellOf<'a, R> = Box<dyn Fn(&R) -> Cell + 'a>;

impl<'a, R> Columns<'a, R> {
    /// No columns.
    pub const fn new() -> Self {
        Self { headings: Vec::new(), cells: Vec::new() }
    }

    /// Adds a column.
    pub fn cell(&mut self, heading: &'a str, cell: impl Fn(&R) -> Cell + 'a) {
        self.headings.push(heading);
        self.cells.push(Box::new(cell));
    }

    /// Adds a column of words.
    pub fn words<T: ToString>(&mut self, heading: &'a str, cell: impl Fn(&R) -> T + 'a) {
        self.cell(heading, move |row| Cell::new(cell(row)));
    }

    /// Adds a column of numbers, which are aligned to the right.
    pub fn numbers(&mut self, heading: &'a str, cell: impl Fn(&R) -> Option<String> + 'a) {
        self.cell(heading, move |row| right(cell(row).unwrap_or_else(|| UNKNOWN.to_owned())));
    }

    /// The cells of a row.
    pub fn cells(&self, row: &R) -> Vec<Cell> {
        self.cells.iter().map(|cell| cell(row)).collect()
    }

    /// The table of these rows, each in its style; each cell is one line.
    pub fn sheet(&self, rows: impl IntoIterator<Item = (Style, Vec<Cell>)>) -> Sheet {
        let (mut styles, rows): (Vec<Style>, Vec<Vec<Cell>>) = rows.into_iter().unzip();
        styles.insert(0, BOLD);
        styles.into_iter().zip(self.lines(rows)).collect()
    }

    /// The table of these rows without styles, ending with a line break.
    pub fn plain<'r>(&self, rows: impl IntoIterator<Item = &'r R>) -> String
    where
        R: 'r,
    {
        let rows = rows.into_iter().map(|row| self.cells(row)).collect();
        self.lines(rows).into_iter().map(|line| line + "\n").collect()
    }

    /// The lines of the table, without borders.
    fn lines(&self, rows: Vec<Vec<Cell>>) -> Vec<String> {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(&self.headings).add_rows(rows);
        table.lines().map(|line| line.trim_end().to_owned()).collect()
    }
}

/// The first of these forms that fits in `width`, or the last one.
pub fn fitting(width: Option<usize>, forms: impl Iterator<Item = Sheet>) -> Sheet {
    let mut last = Sheet::new();
    for form in forms {
        last = form;
        if width.is_none_or(|width| last.iter().all(|(_, line)| display_width(line) <= width)) {
            break;
        }
    }
    last
}

/// A right-aligned cell, for numbers.
pub fn right(text: impl Into<String>) -> Cell {
    Cell::new(text.into()).set_alignment(CellAlignment::Right)
}
