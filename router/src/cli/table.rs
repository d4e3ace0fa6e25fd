//! Tables for people: columns with a header, no borders, one space of thought between them (as kubectl prints them).
//!
//! Separate so that the look is decided once. Cells are text from outside and are made harmless here.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::terminal::harmless;

/// Blanks between two columns.
const GAP: u16 = 3;

/// What stands in a cell for which there is nothing to say.
pub(super) const NOTHING: &str = "-";

/// Renders rows under a header; numbers stand to the right. Ends without a line end.
pub(super) fn render(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).force_no_tty();
    table.set_header(header.iter().copied());
    table.add_rows(rows.iter().map(|row| row.iter().map(|cell| harmless(cell)).collect::<Vec<_>>()));
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, GAP));
        if is_numeric(rows, index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// Whether all that a column holds are counts (and at least one is).
fn is_numeric(rows: &[Vec<String>], index: usize) -> bool {
    let mut cells = rows.iter().filter_map(|row| row.get(index)).filter(|cell| *cell != NOTHING).peekable();
    cells.peek().is_some() && cells.all(|cell| cell.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `12345678` as `11.8 MiB`.
pub(super) fn bytes(count: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    // Tenths of the unit, so that no float is needed: count < 2^64 leaves room for the factor in u128.
    let mut tenths = u128::from(count) * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < units.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, units.get(unit).unwrap_or(&"B"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_columns_and_no_borders() {
        let rows = [
            vec!["hello".to_owned(), "7".to_owned(), "up".to_owned()],
            vec!["b".into(), "1200".into(), NOTHING.into()],
        ];
        let expect = "NAME    CALLS   STATE\nhello       7   up\nb        1200   -";
        assert_eq!(render(&["NAME", "CALLS", "STATE"], &rows), expect);
    }

    #[test]
    fn a_cell_cannot_break_the_table() {
        let text = render(&["NAME"], &[vec!["a\nb\u{1b}[31m".to_owned()]]);
        assert_eq!(text, "NAME\na\\nb\\u{1b}[31m");
    }

    #[test]
    fn sizes_are_read_at_a_glance() {
        let check = |count: u64, expect: &str| assert_eq!(bytes(count), expect);
        check(0, "0 B");
        check(1023, "1023 B");
        check(1024, "1.0 KiB");
        check(12_345_678, "11.7 MiB");
        check(u64::MAX, "16777215.9 TiB");
    }
}
