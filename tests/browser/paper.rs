//! Reports on paper: printed by the browser, read back page by page.

use std::path::Path;
use std::process::Command;

use patchbay::ipam::addresses::Note;

use crate::support::browser::{Browser, Look};
use crate::support::network::{allocate, change, host, reserve, subnet};
use crate::support::server::Server;

const DAY: i64 = 86_400;
pub const A4: (f64, f64) = (21.0, 29.7);
const LETTER: (f64, f64) = (21.59, 27.94);

/// 230 subnets, reservations of different ages, and words too long for any column.
async fn fill(server: &Server) {
    let long = format!("No-blank-anywhere-{}", "x".repeat(80));
    for (ago, who, first) in [(400, "carla", 0), (100, "ann", 80), (45, "bob", 160)] {
        let state = server.state(ago * DAY).await;
        let long = long.as_str();
        change(&state, who, async |space| {
            for n in first..(first + 80).min(230) {
                let name = if n == 7 { long.to_owned() } else { format!("Voice {n:03}") };
                let site = ["Berlin", "Lisbon", "São Paulo"][n % 3];
                let net = subnet(space, &name, &format!("10.20.{n}.0/24"), site).await;
                let held = u32::try_from(n).unwrap();
                allocate(space, net, held.max(1), "switch").await;
                let note = if n % 3 == 0 { long } else { "desk phone, third floor, by the window" };
                reserve(space, net, 1, who, note, None).await;
            }
        })
        .await;
        state.db.close().await;
    }
    let state = server.state(3 * DAY).await;
    change(&state, "ann", async |space| {
        host(space, "wants-it", "10.20.5.1").await;
        host(space, "lost-and-found", "192.0.2.77").await;
    })
    .await;
    state.db.close().await;
}

/// What can be read on each page, in columns as they stand there.
pub fn pages(pdf: &[u8], name: &str) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("report.pdf");
    std::fs::write(&file, pdf).unwrap();
    keep(&file, name);
    let read = Command::new("pdftotext").arg("-layout").arg(&file).arg("-").output();
    let read = read.expect("pdftotext: run tests/lab/setup.sh");
    let text = String::from_utf8(read.stdout).unwrap();
    text.trim_end_matches('\u{c}').split('\u{c}').map(str::to_owned).collect()
}

/// With `PATCHBAY_PAPER` the documents stay there, to be looked at.
fn keep(file: &Path, name: &str) {
    if let Some(folder) = std::env::var_os("PATCHBAY_PAPER") {
        std::fs::copy(file, Path::new(&folder).join(format!("{name}.pdf"))).unwrap();
    }
}

/// How far to the right anything reaches, and how wide the paper is, in points.
pub fn reach(pdf: &[u8]) -> Vec<(f64, f64)> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("report.pdf");
    std::fs::write(&file, pdf).unwrap();
    let read = Command::new("pdftotext").arg("-bbox").arg(&file).arg("-").output().unwrap();
    let text = String::from_utf8(read.stdout).unwrap();
    let number = |line: &str, name: &str| -> f64 {
        let (_, rest) = line.split_once(&format!("{name}=\"")).unwrap();
        rest.split('"').next().unwrap().parse().unwrap()
    };
    let pages = text.split("<page ").skip(1);
    let far = |page: &str| {
        let words = page.lines().filter(|line| line.contains("<word "));
        words.map(|line| number(line, "xMax")).fold(0.0, f64::max)
    };
    pages.map(|page| (far(page), number(page, "width"))).collect()
}

/// Whether the last line ends with the page's number and how many there are.
pub fn is_numbered(page: &str, n: usize, count: usize) -> bool {
    let last = page.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    let squeezed = last.split_once("Patchbay").unwrap_or_default().1.replace(' ', "");
    squeezed == format!("{n}/{count}")
}

/// On every page: the title, what it is about and when it was made, the heads of the columns, the
/// page's number and how many there are; and nothing one could click.
fn is_a_document(pages: &[String], title: &str, about: &str, heads: &[&str]) {
    let count = pages.len();
    for (n, page) in (1..).zip(pages) {
        for part in [title, about, "Default, 20"] {
            assert!(page.contains(part), "page {n} does not say {part:?}:\n{page}");
        }
        assert!(is_numbered(page, n, count), "page {n} of {count} has no number:\n{page}");
        let head = page.lines().filter(|line| heads.iter().all(|head| line.contains(head)));
        assert!(head.count() >= 1, "page {n} has no head {heads:?}:\n{page}");
        for control in ["Print", "CSV", "XLSX", "Show", "Next", "Sign out", "Audit", "Rows 25"] {
            assert!(!page.contains(control), "page {n} has {control:?}:\n{page}");
        }
    }
}

/// What would not be black, or near it, on white: of a page shown as on paper, while the screen is
/// dark.
const COLOURED: &str = "const faults = [], brush = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    const of = colour => { brush.clearRect(0, 0, 1, 1); brush.fillStyle = colour; brush.fillRect(0, 0, 1, 1); return [...brush.getImageData(0, 0, 1, 1).data]; };
    const tell = (element, what) => faults.push(`${what}: ${element.outerHTML.slice(0, 120)}`);
    for (const element of document.querySelectorAll('html, body, body *')) {
        if (!element.checkVisibility() || element.closest('svg, .visually-hidden')) continue;
        const style = getComputedStyle(element), [r, g, b, a] = of(style.backgroundColor);
        if (a > 0 && Math.min(r, g, b) < 255) tell(element, `on ${style.backgroundColor}`);
        if (style.backgroundImage !== 'none') tell(element, style.backgroundImage);
        const says = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
        if (says && Math.max(...of(style.color).slice(0, 3)) > 0x66) tell(element, style.color);
    }
    return faults;";

/// The pixels of every page, as red, green and blue.
fn pixels(pdf: &[u8]) -> Vec<Vec<[u8; 3]>> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("report.pdf");
    std::fs::write(&file, pdf).unwrap();
    let drawn = Command::new("pdftoppm").args(["-r", "40"]).arg(&file).output().unwrap();
    let (mut left, mut pages) = (drawn.stdout.as_slice(), Vec::new());
    while !left.is_empty() {
        // P6, the width, the height and 255, each with one blank behind it.
        let blanks: Vec<usize> =
            (0..left.len()).filter(|at| left[*at].is_ascii_whitespace()).take(4).collect();
        let word = |n: usize| std::str::from_utf8(&left[blanks[n - 1] + 1..blanks[n]]).unwrap();
        let size: usize = word(1).parse::<usize>().unwrap() * word(2).parse::<usize>().unwrap();
        let (page, rest) = left[blanks[3] + 1..].split_at(size * 3);
        pages.push(page.chunks(3).map(|dot| [dot[0], dot[1], dot[2]]).collect());
        left = rest;
    }
    pages
}

/// Whoever prints from a dark screen gets black on white as well.
async fn is_black_on_white(browser: &Browser, url: &str) {
    browser.show("", "dark").await;
    browser.go(url).await;
    browser.find("h1").await;
    let on_screen = browser.run("return getComputedStyle(document.body).colorScheme + getComputedStyle(document.body).color").await;
    browser.show("print", "dark").await;
    assert_eq!(browser.run(COLOURED).await, serde_json::json!([]), "{url}");
    let on_paper = browser.run("return getComputedStyle(document.body).colorScheme + getComputedStyle(document.body).color").await;
    assert_ne!(on_screen, on_paper, "the screen was not dark");
    browser.show("", "dark").await;
    for page in pixels(&browser.printed(A4.0, A4.1).await) {
        let white = page.iter().filter(|dot| dot.iter().all(|part| *part > 250)).count();
        assert!(white * 2 > page.len(), "{url}: {white} of {} are white", page.len());
        let grey = |dot: &[u8; 3]| dot.iter().max().unwrap() - dot.iter().min().unwrap() < 12;
        assert!(page.iter().all(grey), "{url}: there is colour");
        assert!(page.iter().flatten().any(|part| *part < 100), "{url}: nothing is black");
    }
    browser.show("", "light").await;
}

async fn are_black_on_white(browser: &Browser, server: &Server) {
    for path in [
        "/ipam/report?report=utilisation&subnet=10.20.0.0/16",
        "/ipam/report?report=sites&all=1",
        "/ipam/report?report=conflicts&all=1",
        "/ipam/report?report=reservations",
        "/ipam/report?report=history&address=10.20.5.1&all=1",
        "/ipam/addresses?q=10.20.5.",
        "/ipam/subnets",
    ] {
        is_black_on_white(browser, &format!("{}{path}", server.url)).await;
    }
}

/// The words of a document in the order in which they were written, without blanks.
fn words(pdf: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("report.pdf");
    std::fs::write(&file, pdf).unwrap();
    keep(&file, "hostile");
    let read = Command::new("pdftotext").arg("-raw").arg(&file).arg("-").output().unwrap();
    squeezed(&String::from_utf8(read.stdout).unwrap())
}

/// Without blanks, and without what a machine may have no font for: Chinese and pictures.
fn squeezed(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_whitespace() && *letter < '\u{2e80}').collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_texts_are_on_paper_what_they_are() {
    let server = Server::start();
    let browser = Browser::open(Look::default()).await;
    crate::begin(&browser, &server).await;
    let strings = include_str!("../app/hostile-strings.json");
    let strings: Vec<serde_json::Value> = serde_json::from_str(strings).unwrap();
    let inputs = strings.iter().map(|entry| entry["input"].as_str().unwrap());
    let notes: Vec<&str> = inputs.filter(|input| input.parse::<Note>().is_ok()).collect();
    assert!(notes.len() > 30, "{notes:?}");
    let state = server.state(DAY).await;
    change(&state, "ann", async |space| {
        let net =
            subnet(space, "<script>alert(1)</script>", "10.20.5.0/24", "=1+1 {{ 6*7 }}").await;
        for note in &notes {
            reserve(space, net, 1, "ann", note, None).await;
        }
    })
    .await;
    state.db.close().await;
    for query in ["report=reservations", "report=utilisation"] {
        browser.go(&format!("{}/ipam/report?{query}&all=1", server.url)).await;
        browser.find("h1").await;
        let whole = words(&browser.printed(A4.0, A4.1).await);
        if query == "report=reservations" {
            for note in &notes {
                // A note is written between its address's owner and the day, cut by nothing.
                let plain = squeezed(note);
                assert!(whole.contains(&plain), "{note:?} is not in {whole}");
            }
        } else {
            for said in ["<script>alert(1)</script>", "=1+1{{6*7}}"] {
                assert!(whole.contains(said), "{said} is not in {whole}");
            }
        }
    }
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_on_paper_are_documents_with_every_row() {
    let server = Server::start();
    let browser = Browser::open(Look::default()).await;
    crate::begin(&browser, &server).await;
    fill(&server).await;
    let open = async |query: &str| {
        browser.go(&format!("{}/ipam/report?{query}", server.url)).await;
        browser.find("h1").await;
    };

    // From the page of 25 to all of them, and from there to paper.
    open("report=utilisation&subnet=10.20.0.0/16").await;
    browser.sees("1-25 of 230").await;
    browser.press("Print all 230").await;
    browser.sees("Voice 229").await;
    browser.find("[data-print]:not([hidden])").await;
    for (size, paper) in [(A4, "a4"), (LETTER, "letter")] {
        let pdf = browser.printed(size.0, size.1).await;
        let pages = pages(&pdf, &format!("utilisation-{paper}"));
        assert!((4..=12).contains(&pages.len()), "{} pages", pages.len());
        let heads = ["Subnet", "Addresses", "Site", "Used", "Free", "Quarantine"];
        is_a_document(&pages, "Utilisation by subnet", "10.20.0.0/16", &heads);
        let whole = pages.concat();
        for n in 0..230 {
            let row = format!("10.20.{n}.0/24");
            assert_eq!(whole.matches(&row).count(), 1, "{row} on {paper}");
            // The row is in one piece: its figures stand in the same line.
            let line = whole.lines().find(|line| line.contains(&row)).unwrap();
            assert!(line.contains(&format!(" {} ", 253 - n.max(1))), "{row}: {line}");
        }
        for (far, width) in reach(&pdf) {
            assert!((width - size.0 / 2.54 * 72.0).abs() < 2.0, "{width} is not {paper}");
            assert!(far < width - 20.0, "something reaches {far} of {width}");
        }
    }

    open("report=reservations&all=1").await;
    let pdf = browser.printed(A4.0, A4.1).await;
    let pages = pages(&pdf, "reservations");
    is_a_document(&pages, "Reservations", "", &["Person", "Note", "Since", "Days"]);
    let whole = pages.concat();
    for n in 0..230 {
        let address = format!("10.20.{n}.{}", n.max(1) + 1);
        let rows = whole.lines().filter(|line| line.split_whitespace().next() == Some(&address));
        assert_eq!(rows.count(), 1, "{address}");
    }
    // A note of two lines is on one page, and so is one of many.
    for page in &pages {
        assert_eq!(page.matches("desk").count(), page.matches("window").count(), "{page}");
        assert_eq!(page.matches('x').count() % 80, 0, "{page}");
    }
    assert!(pages[0].contains("By person") && pages[0].contains("Oldest"), "{}", pages[0]);
    assert!(reach(&pdf).iter().all(|(far, width)| *far < width - 20.0));

    // So are the others, and each has its rows.
    for (query, title, heads, rows) in [
        ("sites", "Utilisation by site", ["Site", "Subnets"], ["Berlin", "São Paulo"]),
        ("conflicts", "Conflicts", ["Held by", "Claimed by"], ["10.20.5.1", "wants-it"]),
        (
            "inactive&subnet=10.20.5.0/24",
            "Inactive addresses",
            ["Held by", "MAC"],
            ["10.20.5.2", "switch"],
        ),
        ("orphans", "Orphaned addresses", ["Address", "Held by"], ["192.0.2.77", "lost-and-found"]),
        (
            "history&address=10.20.5.1",
            "History of 10.20.5.1",
            ["When", "Who"],
            ["external switch", "wants-it"],
        ),
    ] {
        open(&format!("report={query}&all=1")).await;
        let pdf = browser.printed(A4.0, A4.1).await;
        let printed = self::pages(&pdf, query.split('&').next().unwrap());
        is_a_document(&printed, title, "", &heads);
        let whole = printed.concat();
        for row in rows {
            assert!(whole.contains(row), "{query} does not say {row}:\n{whole}");
        }
        assert!(reach(&pdf).iter().all(|(far, width)| *far < width - 20.0), "{query}");
    }

    are_black_on_white(&browser, &server).await;

    // One page of many says that it is that.
    open("report=utilisation&page=2").await;
    let part = pages_of(&browser, "part").await;
    assert!(part.concat().contains("Rows 26-50 of 230."), "{}", part.concat());

    // Lists that know nothing of reports have a head and a number on every page, too.
    browser.go(&format!("{}/audit?size=200", server.url)).await;
    let list = pages_of(&browser, "audit").await;
    for (n, page) in (1..).zip(&list) {
        assert!(is_numbered(page, n, list.len()), "{page}");
        assert!(page.lines().next().unwrap().contains("Audit"), "{page}");
        assert!(
            page.lines().any(|line| line.contains("Who") && line.contains("Changed")),
            "{page}"
        );
    }
    assert!(list.len() > 2);
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.close().await;
}

async fn pages_of(browser: &Browser, name: &str) -> Vec<String> {
    pages(&browser.printed(A4.0, A4.1).await, name)
}
