//! From what the database says to the files Asterisk reads. Pure: the same snapshot and key give
//! the same bytes.
//!
//! Each file ends with its canary: objects (or a context) named after the hash of everything
//! before them. Asterisk holds the canary only if it read the file to its end, and an unchanged
//! file stays unchanged to the byte.
//!
//! The dialplan has one pattern per block of numbers, not a line per user: what Asterisk does with
//! it does not grow with the number of users. Names reach only `callerid`, never the dialplan.

use std::fmt::Write as _;
use std::str::FromStr;
use std::sync::Arc;

use md5::Md5;
use sha2::{Digest as _, Sha256};

use super::desired::Desired;
use crate::asterisk::value::{
    Comment, ConfWriter, FileValue, Key, SectionName, ValueError, caller_id,
};
use crate::numbering::PICKUP;
use crate::phones::told::Told;
use crate::secrets::{self, Vault, VaultError};
use crate::tenants::Tenant;
use crate::users::Active;

/// The realm digests are made for; Asterisk's default.
const REALM: &str = "asterisk";
/// Seconds a phone rings before the caller hears that nobody answers.
const RING_SECONDS: u32 = 25;

const HEAD: Comment = Comment::new(
    "Written by Patchbay. What is changed here by hand is found at the next Apply and not kept.",
);

/// A file of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name, below `patchbay/current/`.
    pub name: &'static str,
    /// The module that reads it.
    pub module: &'static str,
    /// What Asterisk must hold once it has read all of it.
    pub canary: String,
    /// What it says: shared, because several look at it at once and it may be long.
    pub text: Arc<str>,
}

impl File {
    /// The text without its canary, which changes with every other byte and says nothing to people.
    pub fn body(&self) -> &str {
        let canary = format!("\n[{}]", self.canary);
        self.text.split_once(&canary).map_or(&self.text, |(body, _)| body)
    }

    /// The text as the parser takes it.
    pub fn bytes(&self) -> Arc<[u8]> {
        Arc::clone(&self.text).into()
    }

    /// SHA-256 of the text, in hexadecimal.
    pub fn sha256(&self) -> String {
        secrets::fingerprint(self.text.as_bytes())
    }
}

/// The files of a release with the modules that read them, in the order they are reloaded.
pub const FILES: [(&str, &str); 2] =
    [("pjsip.conf", "res_pjsip.so"), ("extensions.conf", "pbx_config.so")];

/// Why the snapshot cannot be rendered. Either is a fault: what is stored was checked on its way in.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// A secret cannot be opened.
    #[error(
        "the SIP secret of extension {number} cannot be opened: give the extension a new one, or put back the key file it was sealed with"
    )]
    Secret {
        /// Whose.
        number: String,
        /// Why.
        source: VaultError,
    },
    /// Something stored may not be written.
    #[error("{what} cannot be written to a file of Asterisk")]
    Value {
        /// What.
        what: String,
        /// Why.
        source: ValueError,
    },
}

/// Renders a release.
pub fn render(desired: &Desired, vault: &Vault) -> Result<Vec<File>, RenderError> {
    Ok(vec![pjsip(desired, vault)?, extensions(desired)])
}

/// The files of a release from their texts, as they were kept.
pub fn kept(name: &str, text: impl Into<Arc<str>>) -> Option<File> {
    let (name, module) = FILES.into_iter().find(|(known, _)| *known == name)?;
    let text = text.into();
    let canary = canary_of(&text)?.to_owned();
    Some(File { name, module, canary, text })
}

/// Whether a file is as Patchbay wrote it: the canary names the hash of everything before it, and
/// what follows can be made anew.
pub fn is_intact(file: &File, vault: &Vault) -> bool {
    let canary = format!("\n[{}]", file.canary);
    let Some(body) = file.text.find(&canary).and_then(|end| file.text.get(..end)) else {
        return false;
    };
    let tail = tail(file, vault);
    canary_name(body) == file.canary
        && file.text.len() == body.len() + tail.len()
        && file.text.ends_with(&tail)
}

/// What a file says that may have been changed by hand: all but its canary, as long as that is as
/// Patchbay wrote it.
pub fn said(file: &File, vault: &Vault) -> String {
    let body = file.body();
    let rest = file.text.get(body.len()..).unwrap_or_default();
    format!("{body}{}", rest.strip_prefix(tail(file, vault).as_str()).unwrap_or(rest))
}

/// What Patchbay writes of a file from its canary on.
fn tail(file: &File, vault: &Vault) -> String {
    if file.name == FILES[0].0 {
        canary_objects(&file.canary, vault).unwrap_or_default()
    } else {
        canary_context(&file.canary)
    }
}

/// The canary's name: the last section of the text.
fn canary_of(text: &str) -> Option<&str> {
    let start = text.rfind("\n[patchbay-")? + 2;
    text.get(start..)?.split([']', '(']).next()
}

fn canary_name(body: &str) -> String {
    let hash = secrets::fingerprint(body.as_bytes());
    format!("patchbay-{}", hash.get(..16).unwrap_or(&hash))
}

/// The context in which a tenant's phones dial.
pub fn context(tenant: &Tenant) -> String {
    if tenant.slug.is_empty() {
        "patchbay-internal".to_owned()
    } else {
        format!("patchbay-{}", tenant.slug)
    }
}

fn pjsip(desired: &Desired, vault: &Vault) -> Result<File, RenderError> {
    let names = Templates::new()?;
    let mut out = ConfWriter::new();
    out.comment(HEAD);
    names.write(&mut out)?;
    if desired.told.values().any(|told| told.md5_only) {
        names.write_md5(&mut out)?;
    }
    for tenant in &desired.tenants {
        let context = value(&context(tenant))?;
        for active in desired.active.iter().filter(|active| active.tenant == tenant.id) {
            let id = tenant.endpoint(active.number);
            let told = desired.told.get(&active.user()).copied().unwrap_or_default();
            phone(&mut out, &names, &id, &context, (active, told), vault)?;
        }
    }
    let mut text = out.finish();
    let canary = canary_name(&text);
    text.push_str(&canary_objects(&canary, vault)?);
    let (name, module) = FILES[0];
    Ok(File { name, module, canary, text: text.into() })
}

struct Templates {
    phone: SectionName,
    auth: SectionName,
    md5: SectionName,
    aor: SectionName,
}

impl Templates {
    fn new() -> Result<Self, RenderError> {
        Ok(Self {
            phone: section("patchbay-phone")?,
            auth: section("patchbay-auth")?,
            md5: section("patchbay-auth-md5")?,
            aor: section("patchbay-aor")?,
        })
    }

    fn write(&self, out: &mut ConfWriter) -> Result<(), RenderError> {
        let mut phone = out.template(&self.phone);
        for (key, text) in PHONE {
            phone.set(key, &value(text)?);
        }
        let mut auth = out.template(&self.auth);
        for (key, text) in AUTH {
            auth.set(key, &value(text)?);
        }
        let mut aor = out.template(&self.aor);
        for (key, text) in AOR {
            aor.set(key, &value(text)?);
        }
        Ok(())
    }

    /// For phones that answer no challenge when SHA-256 is among them.
    fn write_md5(&self, out: &mut ConfWriter) -> Result<(), RenderError> {
        let mut auth = out.template(&self.md5);
        for (key, text) in AUTH {
            let text = if key == ALGORITHMS { "MD5" } else { text };
            auth.set(key, &value(text)?);
        }
        Ok(())
    }
}

const TYPE: Key = Key::new("type");
const CONTEXT: Key = Key::new("context");
const DIGEST: Key = Key::new("password_digest");

const ALGORITHMS: Key = Key::new("supported_algorithms_uas");
const ENCRYPTION: Key = Key::new("media_encryption");

/// `device_state_busy_at` is left out: at 1 a phone that rings is reported busy, and its lamp on
/// other phones never shows that it rings.
///
/// Opus is left out of `allow`: its codec is no module of Asterisk's own (Debian adds
/// `codec_opus_open_source`, of support level "unknown"), and where none is loaded, Asterisk 22.10 has
/// no translation path from Opus to anything. Seen then with Opus first: a caller who offers it beside
/// G.711 is answered with Opus, the one called has G.711 alone, and of the call Asterisk says "No path
/// to translate". G.722 is wideband too, and its codec is one of Asterisk's core.
const PHONE: [(Key, &str); 16] = [
    (TYPE, "endpoint"),
    (Key::new("disallow"), "all"),
    (Key::new("allow"), "g722,alaw,ulaw"),
    (Key::new("direct_media"), "no"),
    (Key::new("rtp_symmetric"), "yes"),
    (Key::new("force_rport"), "yes"),
    (Key::new("rewrite_contact"), "yes"),
    (Key::new("rtp_timeout"), "60"),
    (Key::new("rtp_timeout_hold"), "1800"),
    (Key::new("dtmf_mode"), "rfc4733"),
    (Key::new("allow_subscribe"), "yes"),
    (Key::new("notify_early_inuse_ringing"), "yes"),
    (Key::new("send_pai"), "yes"),
    (Key::new("trust_id_outbound"), "yes"),
    (Key::new("identify_by"), "username"),
    (Key::new("allow_transfer"), "yes"),
];

const AUTH: [(Key, &str); 4] = [
    (TYPE, "auth"),
    (Key::new("auth_type"), "digest"),
    (Key::new("realm"), REALM),
    (ALGORITHMS, "SHA-256,MD5"),
];

/// One contact: `Dial` rings the first only, so a second phone on the same number would be silent.
/// A new registration replaces the old one.
const AOR: [(Key, &str); 7] = [
    (TYPE, "aor"),
    (Key::new("max_contacts"), "1"),
    (Key::new("remove_existing"), "yes"),
    (Key::new("remove_unavailable"), "yes"),
    (Key::new("qualify_frequency"), "60"),
    (Key::new("default_expiration"), "600"),
    (Key::new("maximum_expiration"), "3600"),
];

fn phone(
    out: &mut ConfWriter,
    names: &Templates,
    id: &str,
    context: &FileValue,
    (active, told): (&Active, Told),
    vault: &Vault,
) -> Result<(), RenderError> {
    let number = active.number.to_string();
    let secret = active
        .secret(vault)
        .map_err(|source| RenderError::Secret { number: id.to_owned(), source })?;
    let caller = caller_id(active.name.as_str(), &number).map_err(|source| RenderError::Value {
        what: format!("the name of extension {id}"),
        source,
    })?;
    let (endpoint, auth) = (section(id)?, section(&format!("{id}-auth"))?);
    let mut own = out.section(&endpoint, &[&names.phone]);
    own.set(CONTEXT, context)
        .set(AUTH_OPTION, &FileValue::from(&auth))
        .set(AORS_OPTION, &FileValue::from(&endpoint))
        .set(CALLERID, &caller);
    if told.srtp {
        own.set(ENCRYPTION, &value("sdes")?);
    }
    let [md5, sha256] = digests(id, secret.expose());
    let template = if told.md5_only { &names.md5 } else { &names.auth };
    let mut own = out.section(&auth, &[template]);
    own.set(USERNAME, &FileValue::from(&endpoint)).set(DIGEST, &value(&md5)?);
    if !told.md5_only {
        own.set(DIGEST, &value(&sha256)?);
    }
    out.section(&endpoint, &[&names.aor]);
    Ok(())
}

const AUTH_OPTION: Key = Key::new("auth");
const AORS_OPTION: Key = Key::new("aors");
const CALLERID: Key = Key::new("callerid");
const USERNAME: Key = Key::new("username");

/// The digests of RFC 2617 (MD5) and RFC 8760 (SHA-256): as good as the secret within the realm,
/// worth nothing outside it.
fn digests(user: &str, secret: &str) -> [String; 2] {
    let text = format!("{user}:{REALM}:{secret}");
    [
        format!("MD5:{}", secrets::hex(&Md5::digest(text.as_bytes()))),
        format!("SHA-256:{}", secrets::hex(&Sha256::digest(text.as_bytes()))),
    ]
}

/// A phone nobody has, in a context that does not exist, that may not register. Its secret is
/// derived from the key, so that the file stays the same.
fn canary_objects(name: &str, vault: &Vault) -> Result<String, RenderError> {
    let secret = secrets::hex(&secrets::mac(&vault.key_for("canary"), &[name.as_bytes()]));
    let id = section(name)?;
    let mut out = ConfWriter::new();
    let [md5, sha256] = digests(name, &secret);
    out.section(&id, &[])
        .set(TYPE, &value("auth")?)
        .set(Key::new("auth_type"), &value("digest")?)
        .set(Key::new("realm"), &value(REALM)?)
        .set(Key::new("supported_algorithms_uas"), &value("SHA-256,MD5")?)
        .set(USERNAME, &FileValue::from(&id))
        .set(DIGEST, &value(&md5)?)
        .set(DIGEST, &value(&sha256)?);
    out.section(&id, &[]).set(TYPE, &value("aor")?).set(Key::new("max_contacts"), &value("0")?);
    out.section(&id, &[])
        .set(TYPE, &value("endpoint")?)
        .set(CONTEXT, &value("patchbay-none")?)
        .set(AUTH_OPTION, &FileValue::from(&id))
        .set(AORS_OPTION, &FileValue::from(&id));
    Ok(out.finish())
}

fn section(name: &str) -> Result<SectionName, RenderError> {
    SectionName::from_str(name)
        .map_err(|source| RenderError::Value { what: name.to_owned(), source })
}

fn value(text: &str) -> Result<FileValue, RenderError> {
    FileValue::from_str(text).map_err(|source| RenderError::Value { what: text.to_owned(), source })
}

/// Everything here is made of digits, slugs and words of ours; no text of a user comes near it.
fn extensions(desired: &Desired) -> File {
    let mut text = String::from(
        "; Written by Patchbay. What is changed here by hand is found at the next Apply and not kept.\n",
    );
    for tenant in &desired.tenants {
        let _ = write!(text, "\n[{}]\n", context(tenant));
        for pattern in tenant.range().patterns() {
            text.push_str(&dial(&pattern, &tenant.prefix()));
            text.push_str(&pick_up(&pattern, &tenant.prefix()));
        }
        text.push_str("exten => i,1,Hangup(1)\nexten => t,1,Hangup()\nexten => h,1,NoOp()\n");
    }
    let canary = canary_name(&text);
    text.push_str(&canary_context(&canary));
    let (name, module) = FILES[1];
    File { name, module, canary, text: text.into() }
}

fn canary_context(name: &str) -> String {
    format!("\n[{name}]\nexten => h,1,NoOp()\n")
}

/// What happens to a call: 404 for a number nobody has, 480 for a phone that is not registered or
/// does not answer in time, 486 for a busy one (Q.850 causes 1, 20, 19, 17).
///
/// `AST_SORCERY` tells whether the endpoint exists: the device state of a deleted one is stale, and
/// the PJSIP functions log a warning for each number nobody has. `PJSIP_AOR` tells whether a phone
/// is registered: the device state of one that has just registered is still "unavailable".
fn dial(pattern: &str, prefix: &str) -> String {
    let exten = exten("", pattern);
    format!(
        "exten => {exten},1,GotoIf($[\"${{AST_SORCERY(res_pjsip,endpoint,{prefix}${{EXTEN}},context)}}\" = \"\"]?unallocated)\n \
same => n,GotoIf($[\"${{PJSIP_AOR({prefix}${{EXTEN}},contact)}}\" = \"\"]?absent)\n \
same => n,Dial(PJSIP/{prefix}${{EXTEN}},{RING_SECONDS})\n \
same => n,GotoIf($[\"${{DIALSTATUS}}\" = \"BUSY\"]?busy)\n \
same => n,GotoIf($[\"${{DIALSTATUS}}\" = \"NOANSWER\"]?silent)\n \
same => n(absent),Hangup(20)\n \
same => n(silent),Hangup(19)\n \
same => n(busy),Hangup(17)\n \
same => n(unallocated),Hangup(1)\n\
exten => {exten},hint,PJSIP/{prefix}${{EXTEN}}\n"
    )
}

/// What picks up a call that rings at a colleague's phone: 480 when none does (Q.850 cause 19).
///
/// The call is found by the phone it rings at, which is what lamps watch: so also one that another
/// context dialled. The pattern lets nothing through but a number of the tenant's, and the prefix
/// makes it the tenant's phone.
fn pick_up(pattern: &str, prefix: &str) -> String {
    let (exten, digits) = (exten(PICKUP, pattern), PICKUP.len());
    format!(
        "exten => {exten},1,PickupChan(PJSIP/{prefix}${{EXTEN:{digits}}})\n \
same => n,Hangup(19)\n"
    )
}

/// An extension that matches `pattern` after `code`. One of digits alone goes by its own name.
fn exten(code: &str, pattern: &str) -> String {
    let is_name = pattern.bytes().all(|byte| byte.is_ascii_digit());
    format!("{}{code}{pattern}", if is_name { "" } else { "_" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asterisk::conf::{self, Files};
    use crate::asterisk::objects::{ObjectKind, Objects};
    use crate::secrets::Entropy;
    use crate::users::Active;
    use proptest::prelude::*;

    fn vault() -> Vault {
        let dir = tempfile::tempdir().unwrap();
        Vault::open(&dir.path().join("secret.key"), Entropy::system()).unwrap()
    }

    fn desired(vault: &Vault, names: &[&str]) -> Desired {
        let users = names.iter().zip(1000..);
        let active = users.map(|(name, number)| Active::sample(vault, number, name)).collect();
        Desired {
            audit_seq: 0,
            tenants: vec![Tenant::sample()],
            active,
            told: crate::phones::told::ToldOf::default(),
        }
    }

    fn parse(file: &File) -> conf::Tree {
        let files: Files = [(file.name.to_owned(), file.bytes())].into();
        conf::parse(&files, file.name)
    }

    #[test]
    fn the_same_snapshot_gives_the_same_bytes_and_another_another_canary() {
        let vault = vault();
        let one = desired(&vault, &["Ann"]);
        let files = render(&one, &vault).unwrap();
        assert_eq!(files, render(&one, &vault).unwrap());
        let other = render(&desired(&vault, &["Bob"]), &vault).unwrap();
        assert_ne!(files[0].canary, other[0].canary);
        assert_eq!(files[1], other[1], "the dialplan does not know names");
    }

    #[test]
    fn the_dialplan_does_not_grow_with_the_users() {
        let vault = vault();
        let names: Vec<String> = (0..500).map(|n| format!("User {n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let many = render(&desired(&vault, &names), &vault).unwrap();
        let none = render(&desired(&vault, &[]), &vault).unwrap();
        assert_eq!(many[1].text, none[1].text);
        assert!(none[1].text.contains("[patchbay-internal]\nexten => _1XXX,1,"));
    }

    #[test]
    fn a_phone_rings_25_seconds_then_the_caller_is_hung_up_on() {
        let vault = vault();
        let text = &render(&desired(&vault, &[]), &vault).unwrap()[1].text;
        let rings = "same => n,Dial(PJSIP/${EXTEN},25)\n";
        let (_, after) = text.split_once(rings).unwrap();
        let after: Vec<&str> = after.lines().map(str::trim).take(6).collect();
        assert_eq!(
            after,
            [
                "same => n,GotoIf($[\"${DIALSTATUS}\" = \"BUSY\"]?busy)",
                "same => n,GotoIf($[\"${DIALSTATUS}\" = \"NOANSWER\"]?silent)",
                "same => n(absent),Hangup(20)",
                "same => n(silent),Hangup(19)",
                "same => n(busy),Hangup(17)",
                "same => n(unallocated),Hangup(1)",
            ]
        );
        assert_eq!(text.matches("Dial(").count(), 1, "{text}");
    }

    #[test]
    fn each_tenants_numbers_are_picked_up_at_its_own_phones() {
        let vault = vault();
        let mut desired = desired(&vault, &[]);
        let mut acme = Tenant::sample();
        "acme".clone_into(&mut acme.slug);
        desired.tenants.push(acme);
        let text = &render(&desired, &vault).unwrap()[1].text;
        let (ours, theirs) = text.split_once("[patchbay-acme]").unwrap();
        assert!(ours.contains("exten => _*81XXX,1,PickupChan(PJSIP/${EXTEN:2})\n"), "{ours}");
        assert!(
            theirs.contains("exten => _*81XXX,1,PickupChan(PJSIP/acme-${EXTEN:2})\n"),
            "{theirs}"
        );
        assert_eq!(
            pick_up("1005", "").lines().next(),
            Some("exten => *81005,1,PickupChan(PJSIP/${EXTEN:2})")
        );
    }

    #[test]
    fn a_file_changed_by_hand_anywhere_is_no_longer_intact() {
        let vault = vault();
        for file in render(&desired(&vault, &["Ann"]), &vault).unwrap() {
            assert!(is_intact(&file, &vault), "{}", file.name);
            assert_eq!(kept(file.name, file.text.clone()).unwrap(), file);
            for at in [0, file.text.len() / 2, file.text.len() - 1] {
                let mut text = file.text.to_string();
                text.replace_range(at..=at, "x");
                assert!(
                    kept(file.name, text).is_none_or(|file| !is_intact(&file, &vault)),
                    "{}: {at}",
                    file.name
                );
            }
            assert_eq!(said(&file, &vault), file.body());
            let more = File {
                text: format!("{}\n[extra]\ntype = aor\n", file.text).into(),
                ..file.clone()
            };
            assert!(!is_intact(&more, &vault));
            assert_eq!(said(&more, &vault), format!("{}\n[extra]\ntype = aor\n", file.body()));
        }
    }

    #[test]
    fn no_secret_is_written_only_digests() {
        let vault = vault();
        let desired = desired(&vault, &["Ann"]);
        let secret = desired.active[0].secret(&vault).unwrap();
        let text = &render(&desired, &vault).unwrap()[0].text;
        assert!(!text.contains(secret.expose()));
        let md5 = secrets::hex(&Md5::digest(format!("1000:asterisk:{}", secret.expose())));
        assert!(text.contains(&format!("password_digest = MD5:{md5}\n")));
    }

    proptest! {
        /// Whatever a user is called, their neighbours stay as they are, and so does the name.
        #[test]
        fn names_never_reach_beyond_their_own_value(name in "[ -~äöüßПё李雷🚀;\\\\\"<>\\[\\]#=,-]{1,40}") {
            let vault = vault();
            prop_assume!(name.parse::<crate::users::PersonName>().is_ok());
            let file = &render(&desired(&vault, &["Ann", &name, "Zed"]), &vault).unwrap()[0];
            let tree = parse(file);
            prop_assert!(tree.problems().is_empty(), "{:?}", tree.problems());
            let objects = Objects::of(&tree);
            let canary = file.canary.as_str();
            prop_assert_eq!(objects.ids(ObjectKind::Endpoint), ["1000", "1001", "1002", canary].into());
            let caller = |id| objects.fields(ObjectKind::Endpoint, id).unwrap().into_iter().find(|(key, _)| key == "callerid").unwrap().1;
            prop_assert_eq!(caller("1000"), "\"Ann\" <1000>");
            prop_assert_eq!(caller("1002"), "\"Zed\" <1002>");
            let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
            prop_assert_eq!(caller("1001"), format!("\"{escaped}\" <1001>"));
        }
    }
}
