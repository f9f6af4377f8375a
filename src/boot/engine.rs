//! Runs templates within limits. A template is written by an administrator, so it is not trusted
//! to be small, fast or right: only what files are made of is allowed in it ([`super::grammar`]),
//! fuel pays for every step and every byte it makes (which bounds time and memory), output ends at
//! 1 MiB, and there is nothing in it that reads a file or turns escaping off.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value};

use super::format::{Format, Malformed, WriteError};
use super::grammar;

/// Bytes a template may have.
pub const SOURCE_LIMIT: usize = 64 << 10;
/// Bytes it may make.
pub const OUTPUT_LIMIT: usize = 1 << 20;
/// Steps it may take; one step also pays for 64 bytes. A telephone with 95 keys takes 6,000.
const FUEL: u64 = 50_000;
/// How deep it may nest.
const DEPTH: usize = 50;
/// Compiled templates kept.
const KEPT: usize = 512;

/// A template ready to run.
pub struct Compiled {
    env: Environment<'static>,
    format: Format,
}

/// Why a template cannot be compiled, or makes no file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Where in the template, from 1; none when it is about all of it.
    pub line: Option<usize>,
    /// A sentence for whoever wrote it. Holds no value of a phone.
    pub what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

impl std::error::Error for Broken {}

impl Broken {
    fn whole(what: String) -> Self {
        Self { line: None, what }
    }
}

impl From<minijinja::Error> for Broken {
    fn from(error: minijinja::Error) -> Self {
        let what = match error.kind() {
            ErrorKind::OutOfFuel => {
                "the template takes too many steps or makes too much".to_owned()
            }
            ErrorKind::UndefinedError => {
                "there is no placeholder of that name; the list shows those there are".to_owned()
            }
            ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction => {
                let detail = error.detail().unwrap_or_default();
                format!(
                    "{detail}; templates have the filters upper, lower, plus and times, the test plain, and no functions"
                )
            }
            ErrorKind::WriteFailure => "the file would be larger than 1 MiB".to_owned(),
            kind => match error.detail() {
                Some(detail) => format!("{kind}: {detail}"),
                None => kind.to_string(),
            },
        };
        Self { line: error.line(), what }
    }
}

impl Compiled {
    /// Compiles `source`, or takes what was compiled of the same text before.
    pub fn of(source: &str, format: Format) -> Result<Arc<Self>, Broken> {
        type Known = HashMap<(Format, String), Arc<Compiled>>;
        static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);
        let key = (format, crate::secrets::fingerprint(source.as_bytes()));
        if let Some(known) = KNOWN.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(known));
        }
        let compiled = Arc::new(Self::new(source, format)?);
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(key, Arc::clone(&compiled));
        Ok(compiled)
    }

    fn new(source: &str, format: Format) -> Result<Self, Broken> {
        if source.len() > SOURCE_LIMIT {
            return Err(Broken::whole(format!("use at most {SOURCE_LIMIT} bytes")));
        }
        let mut env = Environment::empty();
        env.set_undefined_behavior(UndefinedBehavior::Strict);
        env.set_fuel(Some(FUEL));
        env.set_recursion_limit(DEPTH);
        let mut syntax = SyntaxConfig::builder();
        syntax.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true);
        let syntax = syntax.build()?;
        grammar::check(source, &syntax)?;
        env.set_syntax(syntax);
        env.add_filter("upper", |text: String| text.to_uppercase());
        env.add_filter("lower", |text: String| text.to_lowercase());
        env.add_filter("plus", |number: i64, other: i64| number.saturating_add(other));
        env.add_filter("times", |number: i64, other: i64| number.saturating_mul(other));
        env.add_test("plain", |text: String| is_plain(&text));
        env.set_formatter(move |out, _, value| write_value(format, out, value));
        env.add_template_owned("template", source.to_owned())?;
        Ok(Self { env, format })
    }

    /// The format it makes.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Runs it on what it may know.
    pub fn run(&self, context: Value) -> Result<String, Broken> {
        let template = self.env.get_template("template")?;
        let mut out = Capped(Vec::with_capacity(8 << 10));
        template.render_captured_to(context, &mut out)?;
        String::from_utf8(out.0).map_err(|_| Broken::whole("the file is not UTF-8".to_owned()))
    }

    /// Runs it, and reads what it made as the phone will.
    pub fn run_checked(&self, context: Value) -> Result<String, Broken> {
        let text = self.run(context)?;
        self.format.check(&text).map_err(|error| {
            Broken::whole(match error {
                Malformed::At { line, what } => format!("line {line} of the file it makes: {what}"),
                other @ Malformed::Control => other.to_string(),
            })
        })?;
        Ok(text)
    }
}

/// Letters and digits, with a space, dot, hyphen or underscore between.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, ' ' | '.' | '-' | '_'))
}

/// The only way a value gets into a file. Whatever the template says of escaping changes nothing.
fn write_value(
    format: Format,
    out: &mut minijinja::Output<'_>,
    value: &Value,
) -> Result<(), minijinja::Error> {
    let invalid = |what: String| minijinja::Error::new(ErrorKind::InvalidOperation, what);
    if value.is_undefined() {
        return Err(ErrorKind::UndefinedError.into());
    }
    let written = match value.as_str() {
        Some(text) => format.write(out, text),
        None if value.is_number() || matches!(value.kind(), minijinja::value::ValueKind::Bool) => {
            format.write(out, &value.to_string())
        }
        None => return Err(invalid(format!("a {} cannot be written", value.kind()))),
    };
    written.map_err(|error| match error {
        WriteError::Value(error) => invalid(error.to_string()),
        WriteError::Full => ErrorKind::WriteFailure.into(),
    })
}

/// Takes bytes up to the limit.
struct Capped(Vec<u8>);

impl io::Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > OUTPUT_LIMIT {
            return Err(io::Error::other("too much"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(source: &str, format: Format) -> Result<String, Broken> {
        let context = minijinja::context! { name => "A & \"B\" <c>", list => vec![1, 2, 3], deep => minijinja::context! { x => "y" } };
        Compiled::new(source, format)?.run(context)
    }

    #[test]
    fn values_are_escaped_whatever_the_template_says() {
        let escaped = "A &amp; &quot;B&quot; &lt;c&gt;";
        for source in
            ["{{ name }}", "{% set x = name %}{{ x }}", "{% with x = name %}{{ x }}{% endwith %}"]
        {
            assert_eq!(run(source, Format::Xml).unwrap(), escaped, "{source}");
        }
        for source in ["{{ name|safe }}", "{% autoescape false %}{{ name }}{% endautoescape %}"] {
            assert!(run(source, Format::Xml).is_err(), "{source}");
        }
        assert_eq!(
            run("{{ list[1] }}-{{ name|lower }}\n", Format::Lines).unwrap(),
            "2-a & \"b\" <c>\n"
        );
        assert_eq!(run("{{ list[2]|times(2)|plus(1) }}", Format::Lines).unwrap(), "7");
    }

    #[test]
    fn a_template_that_goes_wrong_says_where_and_why() {
        for (source, line, part) in [
            ("a\n{{ nobody }}", Some(2), "no placeholder"),
            ("{% if nobody %}{% endif %}", Some(1), "no placeholder"),
            ("{{ name", Some(1), "syntax error"),
            ("{% for %}", Some(1), "syntax error"),
            ("{{ range(3) }}", Some(1), "no functions"),
            ("{{ name|replace('a') }}", Some(1), "upper, lower"),
            ("{{ list }}", Some(1), "cannot be written"),
            ("{{ deep }}", Some(1), "cannot be written"),
            ("{% include 'x' %}", Some(1), "include"),
            ("\n{% macro m() %}{% endmacro %}", Some(2), "macro"),
        ] {
            let broken = run(source, Format::Xml).unwrap_err();
            assert_eq!(broken.line, line, "{source} {broken}");
            assert!(broken.to_string().contains(part), "{source}: {broken}");
        }
        assert!(Compiled::new(&"x".repeat(SOURCE_LIMIT + 1), Format::Xml).is_err());
    }

    /// Templates that want all of the machine.
    fn greedy() -> Vec<String> {
        let file = include_str!("../../tests/app/hostile-strings.json");
        let strings: Vec<serde_json::Value> = serde_json::from_str(file).unwrap();
        let mut greedy: Vec<String> = strings
            .iter()
            .filter(|entry| entry["field"] == "phone_template")
            .map(|entry| entry["input"].as_str().unwrap().to_owned())
            .collect();
        assert!(!greedy.is_empty());
        let loops =
            |n: usize| "{% for a in list %}".repeat(n) + "{{ name }}" + &"{% endfor %}".repeat(n);
        greedy.extend([
            loops(12),
            loops(40),
            "{% set a = 'xxxxxxxx' %}".to_owned() + &"{% set a = a ~ a %}".repeat(40) + "{{ a }}",
            "{% set a = 'xxxxxxxx' %}".to_owned() + &"{% set a = a + a %}".repeat(40) + "{{ a }}",
            "{% set a = [1] %}".to_owned()
                + &"{% set a = a + a %}".repeat(40)
                + "{% for x in a %}{{ x }}{% endfor %}",
            "{% set a = 'xxxxxxxx' %}".to_owned()
                + &"{% set a %}{{ a }}{{ a }}{% endset %}".repeat(40)
                + "{{ a }}",
            "{{ 'x' * 99999999 }}".to_owned(),
            "{{ 'x' * 999999999999 }}".to_owned(),
            "{% for i in [1] * 99999999 %}{{ i }}{% endfor %}".to_owned(),
            "{{ 9 ** 9 ** 9 ** 9 }}".to_owned(),
            "{% for a in list recursive %}{{ loop(list) }}{% endfor %}".to_owned(),
            "(".repeat(30_000),
            "{{ ".to_owned() + &"(".repeat(20_000) + "1" + &")".repeat(20_000) + " }}",
            "{{ ".to_owned() + &"not ".repeat(15_000) + "1 }}",
            "{{ ".to_owned() + &"-".repeat(60_000) + "1 }}",
            "{% set a = [1] %}".to_owned()
                + &"{% set a = [a, a] %}".repeat(60)
                + "{% if a == a %}1{% endif %}",
            "{% set a = 1 %}".to_owned()
                + &"{% set a = a, a %}".repeat(60)
                + "{% if a == a %}1{% endif %}",
            "{% set a = 1 %}".to_owned()
                + &"{% set a = {1: a, 2: a} %}".repeat(60)
                + "{% if a == a %}1{% endif %}",
            "{{ name".to_owned() + &"[0:]".repeat(15_000) + " }}",
            "{{ name".to_owned() + &"|upper".repeat(10_000) + " }}",
            "{{ 1".to_owned() + &" if 1 else 1".repeat(5_000) + " }}",
            "{% if 1 %}".repeat(6_000),
            "{# ".repeat(20_000),
            "\u{feff}{{ name }}".repeat(3_000),
        ]);
        greedy
    }

    /// KiB of memory this process had at most.
    fn peak() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Hundredths of a second this process has worked: `proc_pid_stat(5)`, fields 14 and 15.
    fn worked() -> u64 {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    }

    /// In a process of its own, because memory and work are counted for all of a process; and work
    /// rather than time, which others take as well.
    #[test]
    fn no_template_takes_a_second_or_64_mib() {
        const NAME: &str = "boot::engine::tests::no_template_takes_a_second_or_64_mib";
        if std::env::args().all(|argument| argument != "--exact") {
            let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
            let done = alone.args([NAME, "--exact", "--nocapture"]).output().unwrap();
            let said = String::from_utf8_lossy(&done.stdout);
            assert!(done.status.success() && said.contains("1 passed"), "{done:?}");
            return;
        }
        for source in greedy() {
            let (before, begin) = (peak(), worked());
            let made = run(&source, Format::Xml);
            let name: String = source.chars().take(60).collect();
            assert!(worked() - begin < 100, "{name} worked for {} hundredths", worked() - begin);
            assert!(peak() - before < 64 << 10, "{name} took {} KiB", peak() - before);
            if let Ok(made) = made {
                assert!(made.len() <= OUTPUT_LIMIT, "{name}");
            }
        }
    }
}
