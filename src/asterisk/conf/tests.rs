//! What a running Asterisk 22.10.1 answered to `GetConfig` for the same files, and what must hold for any file.

use std::fmt::Write as _;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::asterisk::value::{ConfWriter, FileValue, Key, SectionName, caller_id};

fn files(files: &[(&str, &[u8])]) -> Files {
    files.iter().map(|(name, text)| ((*name).to_owned(), Arc::from(*text))).collect()
}

fn tree(text: &[u8]) -> Tree {
    parse(&files(&[("top.conf", text)]), "top.conf")
}

/// `[a] x=1 y=2 [b]`
fn show(tree: &Tree) -> String {
    let mut out = String::new();
    for (name, options) in tree.pairs() {
        write!(out, "[{name}] ").unwrap();
        for (key, value) in options {
            write!(out, "{key}={value}| ").unwrap();
        }
    }
    if tree.is_rejected() { "rejected".to_owned() } else { out.trim_end().to_owned() }
}

fn kinds(tree: &Tree) -> Vec<(u32, Kind)> {
    tree.problems().iter().map(|p| (p.line, p.kind.clone())).collect()
}

#[test]
fn a_line_of_8190_bytes_is_read_and_one_of_8191_is_skipped() {
    for (bytes, read) in [(8187, true), (8188, true), (8189, false), (20_000, false)] {
        let tree = tree(format!("[a]\nx={}\nz=1\nk=2\n", "y".repeat(bytes)).as_bytes());
        assert_eq!(show(&tree).contains("x=yy"), read, "{bytes}");
        assert!(show(&tree).ends_with("z=1| k=2|"), "{bytes}");
        assert_eq!(kinds(&tree).contains(&(2, Kind::LineTooLong)), !read, "{bytes}");
    }
}

#[test]
fn only_the_first_line_may_begin_with_a_byte_order_mark() {
    assert_eq!(show(&tree(b"\xef\xbb\xbf[a]\nx=1\n")), "[a] x=1|");
    assert_eq!(show(&tree(b"\xef\xbb\xbf \xef\xbb\xbf[a]\nx=1\n")), "rejected");
    assert_eq!(show(&tree(b"[a]\n\xef\xbb\xbf[b]\n")), "[a]");
}

#[test]
fn a_nul_and_padding_make_a_line_without_a_line_end() {
    let mut text = b"[a]\nx=1\0".to_vec();
    text.extend([b' '; 8186]);
    text.extend(b"[b]\ny=2\n");
    let tree = tree(&text);
    assert_eq!(show(&tree), "[a] x=1| y=2|");
    assert_eq!(kinds(&tree), [(2, Kind::NulByte), (3, Kind::NoEquals)]);
}

#[test]
fn templates_additions_and_appended_values_are_as_in_asterisk() {
    let text =
        b"[t](!)\na=1\nb=2\n[x](t)\nc=3\na+=9\n[X](+)\nd=4\n[z](X)\nA+=5\na+= 6 \n[w]()\nq=1\n";
    assert_eq!(
        show(&tree(text)),
        "[x] a=19| b=2| c=3| d=4| [z] a=19 6| b=2| c=3| d=4| A=5| [w] a=1| b=2| q=1|"
    );
    let text = b"[a]\nx=1\nx=\nx+=2\nx+=3\ny=k\ny=K\ny+=q\n";
    assert_eq!(show(&tree(text)), "[a] x=3| x=| y=Kq| y=K|");
}

#[test]
fn a_template_that_changes_later_does_not_change_its_heirs() {
    let text = b"[t](!)\na=1\n[x](t)\n[t](+TEMPLATES=include)\na+=2\nb=1\n[y](t)\n";
    assert_eq!(show(&tree(text)), "[x] a=1| [y] a=12| b=1|");
}

#[test]
fn blanks_in_a_template_list_are_part_of_the_name() {
    let tree = tree(b"[t](!)\na=1\n[x](t)\n[y](t, t)\nd=4\n");
    assert!(tree.is_rejected());
    assert_eq!(kinds(&tree), [(4, Kind::UnknownTemplate(" t".to_owned()))]);
}

#[test]
fn comments_are_found_before_anything_else() {
    let text = b"[a]\nx=1\\;2;c\ny=a;-- b --;c\nz= a --; q ; r\nlost=1\n;-- x\nback=1\n";
    let tree_ = tree(text);
    assert_eq!(show(&tree_), "[a] x=1;2| y=ac| z=a --; q ; r| back=1|");
    assert_eq!(kinds(&tree_), [(4, Kind::CommentClosedTwice)]);
    let text =
        b"[a]\nx=1 ;--- not block\ny=\\;--q\nz=a;-- one ;-- two --; three --; four\nq=\\\\;x\n";
    assert_eq!(show(&tree(text)), "[a] x=1| y=;--q| z=a four| q=\\;x|");
}

#[test]
fn an_open_comment_hides_the_rest_and_is_reported_where_it_was_opened() {
    let tree = tree(b"[a]\nx=1\n;-- here\ny=2\n[b]\n");
    assert_eq!(show(&tree), "[a] x=1|");
    assert_eq!(kinds(&tree), [(3, Kind::CommentLeftOpen)]);
}

#[test]
fn the_nesting_that_hangs_asterisk_is_an_error_here() {
    assert_eq!(kinds(&tree(";-- ".repeat(129).as_bytes())), [(1, Kind::CommentsTooDeep)]);
}

#[test]
fn a_backslash_frees_the_first_character_only() {
    let text = b"[a]\n\\[k=1\n\\#q=2\n\\=r=3\n\\z\n=x\n+=y\nm+=n\nm => >p\nv=>w\nu= >w\n";
    let tree_ = tree(text);
    assert_eq!(show(&tree_), "[a] [k=1| #q=2| =r=3| m=n| m=>p| v=w| u=>w|");
    assert_eq!(kinds(&tree_), [(5, Kind::NoEquals), (6, Kind::NoName), (7, Kind::NoName)]);
    assert_eq!(show(&tree(b"[a]\n\\\xc3\xa9=1\nb=2\n")), "rejected");
}

#[test]
fn an_error_ends_an_included_file_silently_and_rejects_the_top_one() {
    let top = b"[a]\nx=1\n#include \"inc_a.conf\"\ny=2\n#INCLUDE <inc_b.conf>\nz=3\n#tryinclude none.conf\nw=4\n#foo bar\n#include\nv=5\n#exec ls\n";
    let set = files(&[
        ("top", top),
        ("inc_a.conf", b"inh=1\n[b]\nbb=1\n[c\ncc=1\n"),
        ("inc_b.conf", b"in_b=1\n"),
    ]);
    let tree = parse(&set, "top");
    assert_eq!(show(&tree), "[a] x=1| inh=1| y=2| z=3| w=4| v=5| [b] bb=1| in_b=1|");
    let fatal: Vec<_> = tree
        .problems()
        .iter()
        .filter(|p| p.kind.is_fatal())
        .map(|p| (p.file.as_str(), p.line))
        .collect();
    assert_eq!(fatal, [("inc_a.conf", 4)]);
    assert_eq!(show(&parse(&set, "inc_a.conf")), "rejected");
    assert_eq!(show(&parse(&files(&[("top", b"[a]\n#include none\n")]), "top")), "rejected");
    assert_eq!(kinds(&parse(&set, "none")), [(0, Kind::NoFile)]);
}

#[test]
fn a_file_that_includes_itself_ends_as_in_asterisk() {
    let tree = parse(&files(&[("self", b"[a]\n#include self\nx=1\n")]), "self");
    assert_eq!(show(&tree), format!("{}[a]", "[a] x=1| ".repeat(10)));
    let tree = parse(
        &files(&[("self", b"[a]\n#tryinclude self\n#tryinclude self\n#tryinclude self\n")]),
        "self",
    );
    assert!(
        kinds(&tree).contains(&(2, Kind::TooLarge))
            || tree.is_rejected()
            || tree.sections().count() > 1000
    );
}

#[test]
fn a_long_name_is_cut_and_then_not_found_by_its_full_length() {
    let name = "n".repeat(80);
    let tree_ = tree(format!("[{name}]\nb=1\n").as_bytes());
    assert_eq!(tree_.sections().next().unwrap().name().len(), 79);
    assert_eq!(kinds(&tree_), [(1, Kind::NameCut(name.clone()))]);
    assert!(tree(format!("[{name}]\nb=1\n[{name}](+)\nc=1\n").as_bytes()).is_rejected());
}

#[test]
fn only_low_bytes_are_blank_and_what_follows_a_name_is_ignored() {
    let text = b"  [a]  junk\n x = 1 \x0b\n\xc2\xa0y\xc2\xa0=\xc2\xa02\xc2\xa0\n[b ] (t)\nq=1\r\n[]\ne=1\n";
    assert_eq!(show(&tree(text)), "[a] x=1| \u{a0}y\u{a0}=\u{a0}2\u{a0}| [b ] q=1| [] e=1|");
}

#[test]
fn sections_that_would_fill_the_memory_are_refused() {
    let mut text = "[t0](!)\na=1\n".to_owned();
    for n in 1..60 {
        writeln!(text, "[t{n}](t{},t{})", n - 1, n - 1).unwrap();
    }
    assert!(matches!(kinds(&tree(text.as_bytes())).as_slice(), [(_, Kind::TooLarge)]));
    assert_eq!(kinds(&tree(b"[a]\nx=1\n[a](+,a)\n")), [(3, Kind::InheritsItself("a".to_owned()))]);
}

#[test]
fn a_deep_chain_of_templates_is_walked_without_recursion() {
    let mut text = "[t0](!)\na=1\n".to_owned();
    for n in 1..20_000 {
        writeln!(text, "[t{n}](t{})", n - 1).unwrap();
    }
    assert_eq!(tree(text.as_bytes()).sections().last().unwrap().first("A"), Some(&b"1"[..]));
}

const X: Key = Key::new("x");
const Y: Key = Key::new("callerid");

/// Three users, the middle one with the value: what the parser gives back for all three.
fn round_trip(value: &FileValue) -> Vec<(String, Vec<(String, String)>)> {
    let name = |text: &str| text.parse::<SectionName>().unwrap();
    let mut file = ConfWriter::new();
    file.template(&name("tpl")).set(X, &"t".parse().unwrap());
    file.section(&name("before"), &[&name("tpl")]).set(Y, &"b".parse().unwrap());
    file.section(&name("middle"), &[&name("tpl")]).set(Y, value).set(X, value);
    file.section(&name("after"), &[]).set(Y, &"a".parse().unwrap());
    let tree = tree(file.finish().as_bytes());
    assert_eq!(kinds(&tree), []);
    tree.pairs()
}

fn expected(value: &str) -> Vec<(String, Vec<(String, String)>)> {
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    vec![
        ("before".to_owned(), vec![pair("x", "t"), pair("callerid", "b")]),
        ("middle".to_owned(), vec![pair("x", "t"), pair("callerid", value), pair("x", value)]),
        ("after".to_owned(), vec![pair("callerid", "a")]),
    ]
}

/// `ast_callerid_parse` for what we write: quotes off, escapes off, the number between the last `<` and `>`.
fn parse_caller_id(text: &str) -> (String, String) {
    let (name, number) = text.rsplit_once('<').unwrap();
    let (mut out, mut escaped) = (String::new(), false);
    for c in name.trim().strip_prefix('"').unwrap().strip_suffix('"').unwrap().chars() {
        if c == '\\' && !escaped {
            escaped = true;
        } else {
            out.push(c);
            escaped = false;
        }
    }
    (out, number.strip_suffix('>').unwrap().to_owned())
}

/// Every way out of a value that was found, and what naive renderers fall for.
const HOSTILE: &[&str] = &[
    "Bob\n[1999]\ntype=endpoint",
    "Bob; the builder",
    "Bob ;-- x --; y",
    "Bob--;",
    "Bob \\; x",
    "Bob \"the boss\" O'Neil",
    "Bob <1234>",
    "Bob\\",
    "Bob\0",
    "Bob\rX",
    "  Bob  ",
    "Zoë Пётр 李雷 🚀",
    "<script>alert(1)</script>",
    "=1+1",
    "]]>",
    "{{ 6*7 }}",
    "${EXTEN}",
    "Smith, Bob",
    "p;w;x12345678",
    "=x12345678>",
    "x\ny",
    "<&>\"'12345678",
    "1000]",
    "_1XXX",
    "sip.example.com;lr",
    "1000&1001",
    "1000\r\nAction: Logoff",
    "> eaten",
    ";",
    ";--",
    "--;",
    ";---",
    "\\\\;",
    "#include x",
    "[x](!)",
    "+= 1",
    "",
];

#[test]
fn every_hostile_string_is_refused_or_read_back_unchanged() {
    for text in HOSTILE {
        if let Ok(value) = text.parse::<FileValue>() {
            assert_eq!(round_trip(&value), expected(text), "{text:?}");
        }
        if let Ok(value) = caller_id(text, "1000") {
            round_trip(&value);
            if !text.is_empty() {
                assert_eq!(
                    parse_caller_id(value.as_str()),
                    ((*text).to_owned(), "1000".to_owned()),
                    "{text:?}"
                );
            }
        }
    }
}

/// Text that is likely to meet the parser's syntax.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just(";".to_owned()),
        Just("--".to_owned()),
        Just("\\".to_owned()),
        Just("[a](b)".to_owned()),
        Just("=>".to_owned()),
        Just("+=".to_owned()),
        Just("\"<>".to_owned()),
        Just("${X}".to_owned()),
        ".{0,4}",
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_value_is_read_back_and_changes_no_neighbour(text in hostile()) {
        if let Ok(value) = text.parse::<FileValue>() {
            prop_assert_eq!(round_trip(&value), expected(&text));
        }
    }

    #[test]
    fn any_caller_name_is_read_back(text in hostile()) {
        if let (false, Ok(value)) = (text.is_empty(), caller_id(&text, "1000")) {
            prop_assert_eq!(parse_caller_id(value.as_str()), (text, "1000".to_owned()));
        }
    }

    #[test]
    fn any_bytes_are_parsed_without_a_panic(text in prop::collection::vec(any::<u8>(), 0..300)) {
        tree(&text).pairs();
    }

    #[test]
    fn any_syntax_is_parsed_without_a_panic(
        text in "(\\[[ab]{0,2}\\]?(\\([!+ab,=]{0,5}\\)?)?|[ab+=>\\\\; -]{0,12}|#(try)?include (top|other)|;--|--;|\0|\n){0,40}",
        other in "(\\[[ab]{0,2}\\](\\([!+ab,]{0,5}\\))?|[ab+=>;-]{0,9}|#include other|\n){0,20}",
    ) {
        parse(&files(&[("top", text.as_bytes()), ("other", other.as_bytes())]), "top").pairs();
    }
}
