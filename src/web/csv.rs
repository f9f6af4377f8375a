//! CSV for spreadsheets: RFC 4180, and no cell that a spreadsheet would run as a formula.

/// Rows as CSV, header first.
pub fn write<'a>(
    header: &[&str],
    rows: impl IntoIterator<Item = Vec<String>> + 'a,
) -> Result<Vec<u8>, csv::Error> {
    let mut writer = to_memory();
    writer.write_record(header)?;
    add(writer, rows)
}

/// Rows as CSV without a header: the part of a file after its beginning.
pub fn rows(rows: impl IntoIterator<Item = Vec<String>>) -> Result<Vec<u8>, csv::Error> {
    add(to_memory(), rows)
}

fn to_memory() -> csv::Writer<Vec<u8>> {
    csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new())
}

fn add(
    mut writer: csv::Writer<Vec<u8>>,
    rows: impl IntoIterator<Item = Vec<String>>,
) -> Result<Vec<u8>, csv::Error> {
    for row in rows {
        writer.write_record(row.iter().map(|cell| inert(cell)))?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

/// A cell that begins like a formula gets a quotation mark before it, as spreadsheets understand.
pub fn inert(cell: &str) -> String {
    if is_formula(cell) { format!("'{cell}") } else { cell.to_owned() }
}

/// Undoes [`inert`]: what was exported comes back as it was.
pub fn original(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if is_formula(rest) => rest,
        _ => cell,
    }
}

/// Marks before a formula count: `'=1` typed by a person must not come back as `=1`.
fn is_formula(cell: &str) -> bool {
    cell.trim_start_matches('\'')
        .starts_with(['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_inert_and_come_back() {
        let bytes =
            write(&["name"], [vec!["=1+1".to_owned()], vec!["a,\"b\"".to_owned()]]).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), "name\r\n'=1+1\r\n\"a,\"\"b\"\"\"\r\n");
        for text in ["=1", "'x", "-5", "plain", "", "@a", "'=1", "''=1"] {
            assert_eq!(original(&inert(text)), text);
        }
    }
}
