//! What a template knows of a phone, under the names it has for it. Nothing else reaches it.

use minijinja::Value;
use minijinja::value::Serde;
use serde::Serialize;

use super::subject::{LineFacts, Subject};
use super::zone::{self, Change};
use crate::numbering::PICKUP;

/// Every placeholder with its meaning, in the order the editor lists them.
pub const PLACEHOLDERS: &[(&str, &str)] = &[
    (
        "mac",
        "the phone's address, twelve small digits; mac_upper in capitals, mac_colons with colons",
    ),
    ("model", "model.name, model.title, model.lines, model.keys"),
    ("label", "what people call the phone; may be empty"),
    ("address", "its static address; may be empty"),
    (
        "accounts",
        "all lines the model has: each with line (from 1), used, user, secret, number, name, label; those not used are empty",
    ),
    (
        "keys",
        "all keys the model has: each with position (from 1), kind (line, blf, speed_dial, park or none), line, value, label, and nth among those that dial",
    ),
    ("server", "where it registers; with the port it is server_port"),
    ("port", "the SIP port"),
    ("transport", "udp, tcp or tls"),
    ("expires", "how long a registration lasts in seconds; expires_minutes in minutes"),
    ("srtp", "whether speech is encrypted"),
    ("dtmf", "rfc4733, info or inband"),
    ("codecs", "the codecs' names, the best first: g722, alaw, ulaw"),
    ("codec", "codec.g722, codec.alaw, codec.ulaw: the place in that order from 1, or 0"),
    ("codec_numbers", "six RTP payload numbers, the best first"),
    ("voicemail", "what the message key dials; may be empty"),
    ("pickup", "what is dialled before a number to pick up the call that rings there"),
    ("time_server", "the NTP server"),
    (
        "zone",
        "zone.name, zone.offset (seconds), zone.offset_signed, zone.hours (+1), zone.gmt (+01:00), zone.quarters, zone.posix, zone.summer; in a zone with summer time zone.save (seconds), zone.save_minutes, zone.save_time, and of zone.start and zone.end: month, week (5 is the last), weekday (0 is Sunday), weekday_from_monday (1 to 7), first_day (0 in the last week), hour, time, and month_2, week_2, weekday_from_monday_2 with two digits",
    ),
    ("phonebook", "whether it has the company's phone book"),
    ("phonebook_url", "where that is"),
    (
        "url",
        "where its own files are, without a slash at the end; url_path without http://, url_secure whether it is HTTPS",
    ),
    ("http_user", "as whom it may sign in for its files; the password is http_password"),
    ("web_password", "what its own web pages ask an administrator for"),
    ("interval", "minutes after which it looks for a new file; interval_seconds, interval_hours"),
    ("verify", "whether it checks the server's certificate"),
    ("vlan", "the VLAN, or 0"),
    ("web_access", "whether it has web pages of its own"),
    ("reboot", "whether it restarts when told of a new file"),
];

#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a placeholder of its own")]
struct Context<'a> {
    mac: &'a str,
    mac_upper: String,
    mac_colons: String,
    model: ModelFacts,
    label: &'a str,
    address: String,
    accounts: Vec<Account<'a>>,
    keys: Vec<Key<'a>>,
    server: &'a str,
    server_port: String,
    port: u32,
    transport: &'a str,
    expires: u32,
    expires_minutes: u32,
    srtp: bool,
    dtmf: &'a str,
    codecs: Vec<&'a str>,
    codec: Codecs,
    codec_numbers: Vec<u8>,
    voicemail: &'a str,
    pickup: &'a str,
    time_server: &'a str,
    zone: ZoneFacts,
    phonebook: bool,
    phonebook_url: String,
    url: &'a str,
    url_path: &'a str,
    url_secure: bool,
    http_user: &'a str,
    http_password: &'a str,
    web_password: &'a str,
    interval: u32,
    interval_seconds: u32,
    interval_hours: u32,
    verify: bool,
    vlan: u32,
    web_access: bool,
    reboot: bool,
}

#[derive(Serialize)]
struct ModelFacts {
    name: &'static str,
    title: &'static str,
    lines: u8,
    keys: u8,
}

#[derive(Serialize)]
struct Account<'a> {
    line: u8,
    used: bool,
    user: &'a str,
    secret: &'a str,
    number: &'a str,
    name: &'a str,
    label: &'a str,
}

#[derive(Serialize)]
struct Key<'a> {
    position: u8,
    kind: &'static str,
    line: u8,
    value: &'a str,
    label: &'a str,
    nth: u8,
}

#[derive(Serialize)]
struct Codecs {
    g722: usize,
    alaw: usize,
    ulaw: usize,
}

#[derive(Serialize)]
struct ZoneFacts {
    name: String,
    offset: i32,
    offset_signed: String,
    hours: String,
    gmt: String,
    quarters: i32,
    posix: String,
    summer: bool,
    save: i32,
    save_minutes: i32,
    save_time: String,
    start: Option<ChangeFacts>,
    end: Option<ChangeFacts>,
}

#[derive(Serialize)]
struct ChangeFacts {
    month: i8,
    month_2: String,
    week: i8,
    week_2: String,
    weekday: i8,
    weekday_from_monday: i8,
    weekday_from_monday_2: String,
    first_day: i8,
    hour: i32,
    time: String,
}

impl From<Change> for ChangeFacts {
    fn from(change: Change) -> Self {
        let weekday = change.weekday_from_monday();
        Self {
            month: change.month,
            month_2: format!("{:02}", change.month),
            week: change.week,
            week_2: format!("{:02}", change.week),
            weekday: change.weekday,
            weekday_from_monday: weekday,
            weekday_from_monday_2: format!("{weekday:02}"),
            first_day: change.first_day().unwrap_or(0),
            hour: change.hour(),
            time: change.time(),
        }
    }
}

impl ZoneFacts {
    fn of(subject: &Subject) -> Self {
        let rule = zone::rule(&subject.zone);
        let save = rule.summer.map_or(0, |summer| summer.save);
        Self {
            name: subject.zone.to_string(),
            offset: rule.offset,
            offset_signed: format!("{:+}", rule.offset),
            hours: rule.hours(),
            gmt: rule.gmt(),
            quarters: rule.offset / 900,
            posix: rule.posix(),
            summer: rule.summer.is_some(),
            save,
            save_minutes: save / 60,
            save_time: format!("{}:{}:{}", save / 3600, save / 60 % 60, save % 60),
            start: rule.summer.map(|summer| summer.start.into()),
            end: rule.summer.map(|summer| summer.end.into()),
        }
    }
}

fn accounts(subject: &Subject) -> Vec<Account<'_>> {
    let of = |line: u8| match subject.lines.iter().find(|facts| facts.line == line) {
        Some(LineFacts { sip_user, sip_secret, number, name, label, .. }) => Account {
            line,
            used: true,
            user: sip_user,
            secret: sip_secret,
            number,
            name,
            label: if label.is_empty() { number } else { label },
        },
        None => {
            Account { line, used: false, user: "", secret: "", number: "", name: "", label: "" }
        }
    };
    (1..=subject.model.lines).map(of).collect()
}

/// Keys nobody gave a function take the lines, in their order.
fn keys(subject: &Subject) -> Vec<Key<'_>> {
    let mut nth = 0;
    let of = |position: u8| {
        if let Some(key) = subject.keys.iter().find(|key| key.position == position) {
            let kind = key.kind.as_str();
            nth += u8::from(kind != "line");
            let nth = if kind == "line" { 0 } else { nth };
            return Key {
                position,
                kind,
                line: key.line,
                value: &key.value,
                label: &key.label,
                nth,
            };
        }
        let line = subject.lines.iter().find(|line| line.line == position);
        match line {
            Some(facts) => {
                let label = if facts.label.is_empty() { &facts.number } else { &facts.label };
                Key { position, kind: "line", line: position, value: &facts.number, label, nth: 0 }
            }
            None => Key { position, kind: "none", line: 0, value: "", label: "", nth: 0 },
        }
    };
    (1..=subject.model.keys).map(of).collect()
}

fn payload(codec: &str) -> u8 {
    match codec {
        "g722" => 9,
        "alaw" => 8,
        _ => 0,
    }
}

/// An address as part of an URL.
fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// All of it, for one run.
pub(super) fn of(subject: &Subject) -> Value {
    let settings = &subject.settings;
    let number = |key: &str| settings.get(key).parse::<u32>().unwrap_or(0);
    let codecs: Vec<&str> = settings.get("audio.codecs").split(',').map(str::trim).collect();
    let place = |codec: &str| codecs.iter().position(|name| *name == codec).map_or(0, |at| at + 1);
    let last = codecs.last().copied().unwrap_or("ulaw");
    let numbers = codecs.iter().copied().chain(std::iter::repeat(last)).take(6).map(payload);
    let mac = subject.mac.hex();
    let (expires, interval) = (number("sip.expires"), number("provision.interval"));
    let path = subject.url.split_once("://").map_or(subject.url.as_str(), |(_, path)| path);
    Value::from(Serde(Context {
        mac_upper: mac.to_uppercase(),
        mac_colons: subject.mac.to_string(),
        mac: &mac,
        model: ModelFacts {
            name: subject.model.name,
            title: subject.model.title,
            lines: subject.model.lines,
            keys: subject.model.keys,
        },
        label: &subject.label,
        address: subject.address.map(|address| address.to_string()).unwrap_or_default(),
        accounts: accounts(subject),
        keys: keys(subject),
        server: &subject.server,
        server_port: format!("{}:{}", bracketed(&subject.server), number("sip.port")),
        port: number("sip.port"),
        transport: settings.get("sip.transport"),
        expires,
        expires_minutes: expires.div_ceil(60),
        srtp: settings.is_on("sip.srtp"),
        dtmf: settings.get("audio.dtmf"),
        codec: Codecs { g722: place("g722"), alaw: place("alaw"), ulaw: place("ulaw") },
        codec_numbers: numbers.collect(),
        codecs,
        voicemail: settings.get("voicemail.number"),
        pickup: PICKUP,
        time_server: settings.get("time.server"),
        zone: ZoneFacts::of(subject),
        phonebook: settings.is_on("phonebook"),
        phonebook_url: format!("{}/phonebook.xml", subject.url),
        url: &subject.url,
        url_path: path,
        url_secure: subject.url.starts_with("https://"),
        http_user: &subject.http_user,
        http_password: &subject.http_password,
        web_password: &subject.web_password,
        interval,
        interval_seconds: interval * 60,
        interval_hours: interval.div_ceil(60),
        verify: settings.is_on("provision.verify"),
        vlan: number("network.vlan"),
        web_access: settings.is_on("web.access"),
        reboot: settings.get("notify.reboot") == "reboot",
    }))
}

#[cfg(test)]
mod tests {
    use super::super::subject::tests::sample;
    use super::*;
    use crate::phones::Vendor;

    #[test]
    fn the_list_names_everything_a_template_knows() {
        let context = of(&sample(Vendor::Yealink, "t46s"));
        let said: String =
            PLACEHOLDERS.iter().flat_map(|(name, what)| [*name, " ", *what, " "]).collect();
        let words: Vec<&str> = said.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        for name in context.try_iter().unwrap() {
            assert!(words.contains(&name.as_str().unwrap()), "{name}");
        }
        for (name, _) in PLACEHOLDERS {
            assert!(!context.get_attr(name).unwrap().is_undefined(), "{name}");
        }
    }

    #[test]
    fn a_template_of_all_placeholders_prints_no_more_than_the_subject() {
        let subject = sample(Vendor::Yealink, "t46s");
        assert_eq!(
            of(&subject).get_attr("server_port").unwrap().as_str(),
            Some("pbx.example.com:5060")
        );
        let mut six = subject.clone();
        six.server = "2001:db8::1".to_owned();
        assert_eq!(of(&six).get_attr("server_port").unwrap().as_str(), Some("[2001:db8::1]:5060"));
    }
}
