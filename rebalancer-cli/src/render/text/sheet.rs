//! A table with one line per row, in the widest form that fits.

use clap::builder::styling::Style;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use textwrap::core::display_width;

use super::screen::{BOLD, Screen};

/// A table in one form.
#[derive(Debug)]
pub struct Sheet {
    table: Table,
    styles: Vec<Style>,
}

impl Sheet {
    /// A table with these columns and no rows.
    pub fn new(header: Vec<&str>) -> Self {
        Self { table: plain_table(header), styles: vec![BOLD] }
    }

    /// Adds a row; each cell is one line.
    pub fn row(&mut self, style: Style, cells: Vec<Cell>) {
        self.table.add_row(cells);
        self.styles.push(style);
    }

    /// Writes the first of these forms that fits in `width`, or the last one. After each row, `between` is
    /// called with the row's number and may write more.
    pub fn write_fitting(
        screen: &mut Screen,
        width: Option<usize>,
        forms: impl Iterator<Item = Self>,
        mut between: impl FnMut(usize, &mut Screen),
    ) {
        let mut last: Option<(Vec<String>, Vec<Style>)> = None;
        for form in forms {
            let lines: Vec<String> = form.table.lines().map(|line| line.trim_end().to_owned()).collect();
            let fits = width.is_none_or(|width| lines.iter().all(|line| display_width(line) <= width));
            last = Some((lines, form.styles));
            if fits {
                break;
            }
        }
        let (lines, styles) = last.unwrap_or_default();
        for (number, (line, style)) in lines.iter().zip(styles).enumerate() {
            screen.line(style, line);
            between(number, screen);
        }
    }
}

/// A table with these columns, without borders, one line per row.
pub fn plain_table(header: Vec<&str>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    table
}

/// A right-aligned cell, for numbers.
pub fn right(text: impl Into<String>) -> Cell {
    Cell::new(text.into()).set_alignment(CellAlignment::Right)
}
