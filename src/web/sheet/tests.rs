use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use actix_web::body::to_bytes;
use futures_util::stream;

use super::*;
use crate::id::OperatorId;
use crate::secrets::Entropy;
use crate::time::{Clock, Timestamp};
use crate::web::Error;

fn rows(text: &str) -> Vec<(u64, Vec<String>)> {
    let sheet = Sheet::pasted(text.to_owned()).unwrap();
    sheet.map(|row| row.map(|row| (row.line, row.cells)).unwrap()).collect()
}

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// An XLSX file from whatever `fill` writes.
fn xlsx_with(fill: impl FnOnce(&mut rust_xlsxwriter::Worksheet)) -> File {
    let mut book = rust_xlsxwriter::Workbook::new();
    fill(book.add_worksheet());
    file(&book.save_to_buffer().unwrap())
}

fn spool(dir: &tempfile::TempDir) -> (Spool, Arc<AtomicI64>) {
    let now = Arc::new(AtomicI64::new(1_700_000_000));
    let read = Arc::clone(&now);
    let clock = Clock::of(move || Timestamp(read.load(Ordering::SeqCst)));
    (Spool::new(dir.path().join("uploads"), Entropy::system(), clock), now)
}

fn operator(number: u128) -> OperatorId {
    uuid::Uuid::from_u128(number).into()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    actix_web::rt::System::new().block_on(future)
}

/// The texts nobody should be able to do harm with, and some that spreadsheets run.
fn hostile() -> Vec<String> {
    let file = include_str!("../../../tests/app/hostile-strings.json");
    let entries: serde_json::Value = serde_json::from_str(file).unwrap();
    let entries = entries.as_array().unwrap().iter();
    let mut all: Vec<String> =
        entries.map(|entry| entry["input"].as_str().unwrap().to_owned()).collect();
    for mark in ["=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠", "'=", "''+"] {
        all.push(format!("{mark}cmd|' /C calc'!A0"));
    }
    all
}

#[test]
fn csv_is_read_whatever_its_delimiter_line_ends_and_mark() {
    for delimiter in [",", ";", "\t"] {
        for end in ["\n", "\r\n"] {
            for mark in ["", "\u{feff}"] {
                let lines = ["Name,IP", "\"a\"\"b\",10.0.0.1", "", "c", "\"two", "lines\",x,y", ""];
                let text = format!("{mark}{}", lines.join(end).replace(',', delimiter));
                let two = format!("two{end}lines");
                let sheet = Sheet::pasted(text.clone()).unwrap();
                assert_eq!(sheet.header().cells, ["Name", "IP"], "{text:?}");
                let expected: Vec<(u64, Vec<String>)> = vec![
                    (2, vec!["a\"b".into(), "10.0.0.1".into()]),
                    (4, vec!["c".into()]),
                    (5, vec![two, "x".into(), "y".into()]),
                ];
                assert_eq!(rows(&text), expected, "{text:?}");
            }
        }
    }
    // A delimiter inside quotation marks is none.
    assert_eq!(rows("\"a;b;c\",d\n1,2\n"), [(2, vec!["1".into(), "2".into()])]);
}

#[test]
fn a_file_with_nothing_in_it_has_no_columns_and_one_with_a_header_no_rows() {
    for empty in ["", "\n\r\n", "\u{feff}", ",,\n"] {
        let sheet = Sheet::open(file(empty.as_bytes())).unwrap();
        assert_eq!(sheet.header().cells.len(), 0, "{empty:?}");
        assert_eq!(sheet.count(), 0);
    }
    let sheet = Sheet::open(file(b"a,b")).unwrap();
    assert_eq!((sheet.header().cells.len(), sheet.count()), (2, 0));
    let sheet = Sheet::open(xlsx_with(|_| {})).unwrap();
    assert_eq!((sheet.header().cells.len(), sheet.count()), (0, 0));
}

#[test]
fn what_is_not_utf8_is_named_by_its_line_and_the_rest_is_read() {
    let mut sheet = Sheet::open(file(b"name\r\nAnn\r\nZo\xeb\r\nBob\r\n")).unwrap();
    assert_eq!(sheet.next().unwrap().unwrap().line, 2);
    let error = sheet.next().unwrap().unwrap_err();
    assert!(matches!(error, BadSheet::NotUtf8 { line: 3 }), "{error:?}");
    assert!(error.is_about_one_row() && error.to_string().contains("UTF-8"));
    assert_eq!(sheet.next().unwrap().unwrap().line, 4);
    assert!(sheet.next().is_none());
    for bytes in [&b"\xff\xfen\0a\0"[..], b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"a\xff,b\n1,2\n"] {
        let error = Sheet::open(file(bytes)).err().unwrap();
        assert!(matches!(error, BadSheet::NotUtf8 { line: 1 } | BadSheet::Unknown), "{error:?}");
    }
    assert!(matches!(Sheet::open(file(b"a\0b\n")).err().unwrap(), BadSheet::Unknown));
}

#[test]
fn a_quotation_mark_never_closed_does_not_fill_the_memory() {
    let text = format!("a,b\n1,2\n3,\"4\n{}", "x,y\n".repeat(1 << 20));
    let mut sheet = Sheet::pasted(text).unwrap();
    assert_eq!(sheet.next().unwrap().unwrap().line, 2);
    let error = sheet.next().unwrap().unwrap_err();
    assert!(matches!(error, BadSheet::LongRow { line: 3 }), "{error:?}");
    assert!(sheet.next().is_none());
    let wide = format!("a\n{}\nb\n", ",x".repeat(1000));
    let mut sheet = Sheet::pasted(wide).unwrap();
    assert!(matches!(sheet.next().unwrap(), Err(BadSheet::WideRow { line: 2 })));
    assert_eq!(sheet.next().unwrap().unwrap().line, 3);
}

#[test]
fn xlsx_is_told_by_its_content_and_read_as_text() {
    let file = xlsx_with(|sheet| {
        for (column, text) in [(0, "Name"), (1, "VLAN"), (2, "Since"), (4, "Note")] {
            sheet.write_string(1, column, text).unwrap();
        }
        let day = rust_xlsxwriter::Format::new().set_num_format("yyyy-mm-dd");
        let date = rust_xlsxwriter::ExcelDateTime::from_ymd(2026, 11, 20).unwrap();
        sheet.write_string(2, 0, "Ann").unwrap();
        sheet.write_number(2, 1, 1005).unwrap();
        sheet.write_datetime_with_format(2, 2, &date, &day).unwrap();
        sheet.write_number(5, 1, 0.5).unwrap();
        sheet.write_boolean(5, 4, true).unwrap();
        sheet.write_string(700, 0, "'=kept as it is").unwrap();
    });
    let mut sheet = Sheet::open(file).unwrap();
    assert_eq!((sheet.header().line, sheet.header().cell(4)), (2, "Note"));
    let read: Vec<Row> = sheet.by_ref().map(Result::unwrap).collect();
    let lines: Vec<u64> = read.iter().map(|row| row.line).collect();
    assert_eq!(lines, [3, 6, 701]);
    assert_eq!(read[0].cells, ["Ann", "1005", "2026-11-20"]);
    assert_eq!(read[1].cells, ["", "0.5", "", "", "true"]);
    assert_eq!(read[2].cells, ["'=kept as it is"]);
}

#[test]
fn what_only_looks_like_xlsx_is_refused() {
    for bytes in [b"PK\x03\x04".to_vec(), [b"PK\x03\x04".as_slice(), &[7; 5000]].concat()] {
        assert!(matches!(Sheet::open(file(&bytes)).err().unwrap(), BadSheet::Broken(_)));
    }
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("readme.txt", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(b"hello").unwrap();
    let bytes = zip.finish().unwrap().into_inner();
    assert!(matches!(Sheet::open(file(&bytes)).err().unwrap(), BadSheet::Broken(_)));
}

#[test]
fn an_xlsx_file_that_unpacks_to_too_much_is_refused_before_it_is_read() {
    let mut zip = zip::ZipWriter::new(tempfile::tempfile().unwrap());
    let options = zip::write::SimpleFileOptions::default();
    zip.start_file("xl/worksheets/sheet1.xml", options).unwrap();
    let blanks = vec![b' '; 1 << 20];
    for _ in 0..16 {
        zip.write_all(&blanks).unwrap();
    }
    let bomb = zip.finish().unwrap();
    assert!(bomb.metadata().unwrap().len() < 1 << 20);
    assert!(workbook::measure(&bomb, 16 << 20, 1 << 20).is_ok());
    for (largest, part) in [((16 << 20) - 1, 1 << 30), (1 << 20, 1 << 20)] {
        let refused = workbook::measure(&bomb, largest, part).err().unwrap();
        assert!(matches!(refused, BadSheet::TooLarge), "{refused:?}");
    }
    // A lie about the size does not help: the size in the directory is not what is measured.
    let mut bytes = Vec::new();
    (&bomb).rewind().unwrap();
    (&bomb).read_to_end(&mut bytes).unwrap();
    let real = (16_u32 << 20).to_le_bytes();
    let places: Vec<usize> =
        bytes.windows(4).enumerate().filter(|(_, w)| *w == real).map(|(at, _)| at).collect();
    for at in places {
        bytes[at..at + 4].copy_from_slice(&10_u32.to_le_bytes());
    }
    assert!(workbook::measure(&file(&bytes), 1 << 20, 1 << 20).is_err());
}

#[test]
fn columns_are_found_by_any_of_their_names() {
    const KNOWN: [Column; 3] = [
        Column::needed("address", &["ip", "ip_addr", "IP address"]),
        Column::needed("name", &[]),
        Column::optional("note", &["description"]),
    ];
    let find = |text: &str| {
        let mut report = Report::default();
        let sheet = Sheet::pasted(text.to_owned()).unwrap();
        (Columns::find(sheet.header(), &KNOWN, &mut report), report)
    };
    for header in ["name,address", "Name,IP", " NAME ,Ip Addr", "name,IP-Address,note"] {
        let columns = find(header).0.unwrap();
        assert_eq!((columns.place("name"), columns.place("address")), (Some(0), Some(1)));
        assert_eq!(columns.has("note"), header.contains("note"));
    }
    let (columns, report) = find("ip,address,colour");
    assert!(columns.is_none());
    assert_eq!(report.ignored, ["colour"]);
    let faults: Vec<(u64, &str)> =
        report.faults.iter().map(|fault| (fault.line, fault.column.as_ref())).collect();
    assert_eq!(faults, [(1, "address"), (1, "name")]);
    let columns = find("note,name,ip").0.unwrap();
    let row = Row { line: 2, cells: vec![" x ".into(), "y".into()] };
    assert_eq!((columns.cell(&row, "note"), columns.cell(&row, "address")), ("x", ""));
}

#[test]
fn faults_beyond_two_hundred_are_counted() {
    let mut report = Report::default();
    (0..250).for_each(|line| report.fault(line, "name", &"no"));
    report.sort();
    assert_eq!((report.faults.len(), report.more, report.count()), (200, 50, 250));
}

#[test]
fn every_row_is_told_part_by_part_in_whatever_order_they_are_looked_at() {
    // 7 and 1000 have no common divisor: each line comes once.
    let lines: Vec<u64> = (0..1_000).map(|n| 2 + n * 7 % 1_000).collect();
    let (mut from, mut told, mut faults, mut parts) = (0, Vec::new(), Vec::new(), 0);
    loop {
        let mut report = Report::of(Part { from, most: 30 });
        for line in &lines {
            if line % 10 == 0 {
                report.refuse(*line, "name", &"no");
            } else {
                report.says(*line, line, Verdict::Added);
            }
        }
        report.sort();
        assert!(report.fates.len() <= 30 && report.faults.len() <= 30);
        assert_eq!((report.count(), report.refused(), report.is_clean()), (100, 100, false));
        told.extend(report.fates.iter().map(|fate| fate.line));
        faults.extend(report.faults.iter().map(|fault| fault.line));
        parts += 1;
        match report.next() {
            Some(next) => from = next,
            None => break,
        }
    }
    told.dedup();
    faults.sort_unstable();
    faults.dedup();
    assert_eq!(told, (2..1_002).filter(|line| line % 10 != 0).collect::<Vec<u64>>());
    assert_eq!(faults, (2..1_002).filter(|line| line % 10 == 0).collect::<Vec<u64>>());
    assert!(parts > 10);
}

#[test]
fn hostile_texts_come_back_from_csv_and_are_inert_in_it() {
    let all = hostile();
    let batch: Vec<Vec<String>> =
        all.iter().map(|text| vec!["x".to_owned(), text.clone()]).collect();
    let header = [Heading::text("key"), Heading::text("value")];
    let body = block_on(async {
        let answer = stream_csv("things", &header, stream::iter([Ok(batch)])).unwrap();
        to_bytes(answer.into_body()).await.unwrap()
    });
    let mut plain = csv::ReaderBuilder::new().from_reader(body.as_ref());
    for record in plain.records() {
        let cell = record.unwrap()[1].to_owned();
        assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠']));
    }
    let sheet = Sheet::open(file(&body)).unwrap();
    let back: Vec<String> = sheet.map(|row| row.unwrap().cells[1].clone()).collect();
    assert_eq!(back, all);
}

#[test]
fn hostile_texts_come_back_from_xlsx_and_are_texts_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = spool(&dir);
    let all = hostile();
    let batch: Vec<Vec<String>> =
        all.iter().map(|text| vec!["-5".to_owned(), text.clone()]).collect();
    let header = [Heading::number("number"), Heading::text("value")];
    let made = block_on(xlsx_file(&spool, &header, stream::iter([Ok(batch)]))).unwrap();
    let mut archive = zip::ZipArchive::new(&made).unwrap();
    let mut xml = String::new();
    let mut part = archive.by_name("xl/worksheets/sheet1.xml").unwrap();
    part.read_to_string(&mut xml).unwrap();
    drop(part);
    assert!(!xml.contains("<f>") && !xml.contains("<hyperlink"), "{xml}");
    assert!(xml.contains("<v>-5</v>") && xml.contains("autoFilter") && xml.contains("frozen"));
    let rows: Vec<Row> = Sheet::open(made).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows.len(), all.len());
    for (row, text) in rows.iter().zip(&all) {
        assert_eq!(row.cells[0], "-5");
        assert_eq!(row.cells.get(1).map_or("", String::as_str), text, "{text:?}");
    }
}

#[test]
fn an_export_is_a_file_with_our_name_and_breaks_off_when_its_rows_do() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = spool(&dir);
    block_on(async {
        for format in [SheetFormat::Csv, SheetFormat::Xlsx] {
            let rows = || stream::iter([Ok(vec![vec!["a".to_owned()]]), Err(Error::NotFound)]);
            let fine = stream::iter([Ok(vec![vec!["a".to_owned()]])]);
            let header = [Heading::text("name")];
            let answer = export(format, &spool, "things", &header, fine).await.unwrap();
            let about = answer.headers().get("content-disposition").unwrap().to_str().unwrap();
            assert_eq!(about, format!("attachment; filename=\"things.{}\"", format.extension()));
            assert!(to_bytes(answer.into_body()).await.is_ok());
            match export(format, &spool, "things", &header, rows()).await {
                Ok(answer) => assert!(to_bytes(answer.into_body()).await.is_err()),
                Err(error) => assert!(matches!(error, Error::NotFound)),
            }
        }
        let long = stream::iter([Ok(vec![vec!["x".repeat(40_000)]])]);
        let error = xlsx(&spool, "things", &[Heading::text("name")], long).await.unwrap_err();
        assert!(error.to_string().contains("export as CSV"), "{error}");
    });
    assert_eq!(std::fs::read_dir(spool.dir().unwrap()).unwrap().count(), 0);
}

#[test]
fn a_worksheet_too_long_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = spool(&dir);
    let batches = stream::iter((0..1049).map(|_| Ok(vec![vec![String::new()]; 1000])));
    let error = block_on(xlsx_file(&spool, &[Heading::text("name")], batches)).unwrap_err();
    assert!(error.to_string().contains("1,048,575"), "{error}");
}

#[test]
fn a_file_is_kept_for_its_operator_once_and_for_an_hour() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let (spool, now) = spool(&dir);
    let keep = |text: &[u8], whose| {
        let file = spool.create().unwrap();
        file.open().unwrap().write_all(text).unwrap();
        let mode = std::fs::metadata(file.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        spool.keep(file, whose).unwrap()
    };
    let files = || std::fs::read_dir(dir.path().join("uploads")).unwrap().count();
    let (ann, bob) = (operator(1), operator(2));
    let token = keep(b"hers", ann);
    assert_eq!(
        std::fs::metadata(dir.path().join("uploads")).unwrap().permissions().mode() & 0o777,
        0o700
    );
    for wrong in ["", "x", "-", "../../etc/passwd", "1700000000-../x", &token[..20]] {
        assert!(spool.take(wrong, ann).unwrap().is_none(), "{wrong}");
    }
    assert!(spool.take(&token, bob).unwrap().is_none());
    let hers = spool.take(&token, ann).unwrap().unwrap();
    let mut text = String::new();
    hers.open().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "hers");
    assert!(spool.take(&token, ann).unwrap().is_none());
    drop(hers);
    assert_eq!(files(), 0);
    let (old, left) = (keep(b"old", bob), spool.create().unwrap());
    now.fetch_add(3600, Ordering::SeqCst);
    assert!(spool.take(&old, bob).unwrap().is_none());
    let new = keep(b"new", bob);
    spool.tidy().unwrap();
    assert!(!left.path().exists() && files() == 1);
    assert!(spool.take(&new, bob).unwrap().is_some());
    let tokens: Vec<String> = (0..6)
        .map(|_| {
            now.fetch_add(1, Ordering::SeqCst);
            keep(b"many", ann)
        })
        .collect();
    assert_eq!(files(), 4);
    assert!(spool.take(&tokens[1], ann).unwrap().is_none());
    assert!(spool.take(&tokens[2], ann).unwrap().is_some());
}
