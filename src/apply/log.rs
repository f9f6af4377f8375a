//! Asterisk's own words about a reload, read from the end of its log file.
//!
//! The manager interface does not pass on log lines, so the file that `logger.conf` names for
//! warnings and errors is read where it grew. When Asterisk lives in a directory tree of its own
//! (a container, a chroot), its paths are taken to lie below the same prefix as its configuration.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use crate::asterisk::conf::{self, ConfigDir};
use crate::asterisk::objects::ObjectKind;
use crate::asterisk::secret::mask_line;

/// Bytes looked at after one reload.
const MOST: u64 = 1 << 20;
/// Lines kept of one reload.
const LINES: usize = 50;
/// The parts of Asterisk that speak of configuration.
const SPEAKERS: [&str; 8] = [
    "config.c:",
    "config_options.c:",
    "res_sorcery_config.c:",
    "config_auth.c:",
    "sorcery.c:",
    "pbx_config.c:",
    "pbx.c:",
    "location.c:",
];

/// Where a log file ended.
#[derive(Clone, Debug)]
pub struct Mark {
    path: PathBuf,
    end: u64,
}

/// The file in which Asterisk writes warnings and errors, if it can be told.
pub fn find(config_dir: &Path) -> Option<PathBuf> {
    let source = ConfigDir::new(config_dir);
    let main = conf::parse(&source, "asterisk.conf");
    let directory = |option: &str, usual: &str| {
        // `[directories](!)` is a template: Debian's way of saying that the defaults hold.
        let sections = main
            .sections()
            .filter(|section| section.name() == b"directories" && !section.is_template());
        let value = sections
            .filter_map(|section| section.first(option).map(|v| conf::text(v).into_owned()))
            .last();
        value.unwrap_or_else(|| usual.to_owned())
    };
    let (etc, logs) =
        (directory("astetcdir", "/etc/asterisk"), directory("astlogdir", "/var/log/asterisk"));
    let name = log_name(&conf::parse(&source, "logger.conf"))?;
    let real = config_dir.canonicalize().ok()?;
    let prefix = real.to_str()?.strip_suffix(etc.trim_end_matches('/')).unwrap_or("");
    Some(PathBuf::from(format!("{prefix}{}", Path::new(&logs).join(name).display())))
}

/// The first file of `[logfiles]` that gets warnings and errors.
fn log_name(tree: &conf::Tree) -> Option<String> {
    for section in tree.sections().filter(|section| section.name() == b"logfiles") {
        for variable in section.variables() {
            let (name, levels) = (conf::text(variable.name), conf::text(variable.value));
            let file = name != "console" && !name.starts_with("syslog");
            if file
                && (levels.contains('*')
                    || (levels.contains("warning") && levels.contains("error")))
            {
                return Some(name.into_owned());
            }
        }
    }
    None
}

impl Mark {
    /// The end of the log as it is now; `None` when it cannot be read.
    pub fn now(config_dir: &Path) -> Option<Self> {
        let path = find(config_dir)?;
        let end = File::open(&path).ok()?.metadata().ok()?.len();
        Some(Self { path, end })
    }

    /// Warnings and errors about configuration written since, without time and thread, secrets
    /// hidden; those that concern us first, for only so many are kept.
    pub fn since(&self) -> std::io::Result<Vec<String>> {
        let mut file = File::open(&self.path)?;
        // A shorter file was begun anew meanwhile.
        let start = if file.metadata()?.len() < self.end { 0 } else { self.end };
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(MOST).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let mut lines: Vec<String> = text.lines().filter_map(complaint).collect();
        lines.dedup();
        lines.sort_by_key(|line| !concerns_us(line));
        lines.truncate(LINES);
        Ok(lines)
    }
}

/// `[date] WARNING[thread][call] config.c: text` (with a colon behind the brackets, and line and
/// function behind the file, in the verbose format) as `WARNING config.c: text`, if it is a
/// warning or an error of somebody who speaks of configuration.
fn complaint(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("] ")?;
    let (level, text) = rest.split_once(' ')?;
    let level = level.split('[').next()?;
    let speaks = text.split_whitespace().next().is_some_and(|speaker| {
        SPEAKERS.iter().any(|known| {
            speaker.rsplit('/').next().is_some_and(|file| format!("{file}:").starts_with(known))
        })
    });
    (matches!(level, "WARNING" | "ERROR") && speaks).then(|| format!("{level} {}", hide(text)))
}

/// Asterisk repeats the text of an option it does not like, and that may be a digest.
fn hide(text: &str) -> String {
    let masked = mask_line(text).into_owned();
    let words = masked.split(' ').map(|word| {
        let hexadecimal = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let long =
            hexadecimal.len() >= 32 && hexadecimal.bytes().all(|byte| byte.is_ascii_hexdigit());
        if long || word.contains("digest=") || word.contains("password=") {
            "(hidden)"
        } else {
            word
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Whether a complaint is about files of ours, or about no file in particular; those about
/// hand-written files are told, but stop nothing.
pub fn concerns_us(line: &str) -> bool {
    let ours = line.contains("patchbay/") || line.contains("'patchbay-");
    let file = line.contains(".conf") && !line.contains("'pjsip.conf'");
    // `of type 'identify'` loses objects of that type alone, and we write none of it.
    let kind = line.split_once("of type '").and_then(|(_, rest)| rest.split_once('\''));
    let kind = kind.is_some_and(|(kind, _)| ObjectKind::from_type(kind.as_bytes()).is_none());
    // Of two extensions that are one, `pbx.c` names the context and not the file.
    let context = line.contains("Unable to register extension");
    ours || !(file || kind || context)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn complaints_about_configuration_are_kept_without_their_secrets() {
        // The default format, in a call, and the verbose one.
        for place in [
            "ERROR[123] config_options.c",
            "ERROR[123][C-0000002a] config_options.c",
            "ERROR[123]: config_options.c:789 aco_process_var",
        ] {
            let line = format!(
                "[Nov 21 00:50:01] {place}: Error parsing password_digest=MD5:0123456789abcdef0123456789abcdef at line 7 of /etc/asterisk/patchbay/current/pjsip.conf"
            );
            let kept = complaint(&line).unwrap();
            assert!(
                kept.starts_with("ERROR config_options.c:") && !kept.contains("0123456789abcdef"),
                "{kept}"
            );
            assert!(concerns_us(&kept));
        }
        let deep = "[Nov 21 00:50:01] WARNING[1] res_pjsip/config_auth.c: Unknown type";
        assert_eq!(complaint(deep).unwrap(), "WARNING res_pjsip/config_auth.c: Unknown type");
        assert_eq!(
            complaint("[Nov 21 00:50:01] NOTICE[1] sorcery.c: Type 'system' is not reloadable"),
            None
        );
        assert_eq!(complaint("[Nov 21 00:50:01] WARNING[1] chan_pjsip.c: something"), None);
        assert_eq!(complaint("junk"), None);
    }

    #[test]
    fn complaints_about_hand_written_files_are_not_ours() {
        assert!(!concerns_us(
            "WARNING pbx_config.c: Unable to register extension at line 3 of extensions.conf"
        ));
        assert!(concerns_us(
            "ERROR res_sorcery_config.c: Config file 'pjsip.conf' could not be loaded due to error with object '7777' of type 'endpoint'"
        ));
        assert!(concerns_us("WARNING config.c: Line 74 too long, skipping."));
        assert!(!concerns_us(
            "ERROR res_sorcery_config.c: Could not create an object of type 'identify' with id 'trunk' from configuration file 'pjsip.conf'"
        ));
        let twice = "WARNING pbx.c: Unable to register extension '1', priority 1 in";
        assert!(!concerns_us(&format!("{twice} 'office', already in use")));
        assert!(concerns_us(&format!("{twice} 'patchbay-internal', already in use")));
    }

    #[test]
    fn complaints_about_ours_are_kept_however_many_others_there_are() {
        let mut log = tempfile::NamedTempFile::new().unwrap();
        let line = |text: &str| format!("[Nov 21 00:50:01] WARNING[1] config.c: {text}\n");
        let by_hand =
            (0..200).map(|n| line(&format!("odd line {n} of /etc/asterisk/pjsip_old.conf")));
        let ours = line("odd line 7 of /etc/asterisk/patchbay/current/pjsip.conf");
        log.write_all((by_hand.collect::<String>() + &ours).as_bytes()).unwrap();
        let lines = Mark { path: log.path().to_owned(), end: 0 }.since().unwrap();
        assert_eq!(lines.len(), LINES);
        assert!(concerns_us(&lines[0]) && !concerns_us(&lines[1]), "{lines:?}");
    }

    #[test]
    fn the_log_is_found_where_the_configuration_says() {
        let dir = tempfile::tempdir().unwrap();
        let etc = dir.path().join("etc/asterisk");
        std::fs::create_dir_all(&etc).unwrap();
        std::fs::write(etc.join("asterisk.conf"), "[directories](!)\nastlogdir => /elsewhere\n")
            .unwrap();
        std::fs::write(
            etc.join("logger.conf"),
            "[logfiles]\nconsole => notice,warning,error\nmessages.log => notice,warning,error\n",
        )
        .unwrap();
        let root = dir.path().canonicalize().unwrap();
        assert_eq!(find(&etc).unwrap(), root.join("var/log/asterisk/messages.log"));
    }
}
