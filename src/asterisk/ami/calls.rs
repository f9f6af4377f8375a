//! The questions Apply asks, each as one call with a typed answer.

use std::collections::BTreeSet;

use super::{Action, Ami, AmiError, Message};
use crate::asterisk::dialplan::Step;
use crate::asterisk::objects::ObjectKind;

/// Asterisk's version: major, minor, patch.
pub type Version = (u32, u32, u32);

/// What Asterisk says of a reload (`enum ast_module_reload_result`).
///
/// [`Reloaded`](Self::Reloaded) means that the module was asked. It does **not** mean that its files were good: most
/// modules say so of a file they dropped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReloadResult {
    /// Asked.
    Reloaded,
    /// Not done yet: Asterisk is still starting.
    Queued,
    /// Not loaded.
    NoSuchModule,
    /// The module itself reports failure.
    Failed,
    /// Another reload is running; nothing was done.
    InProgress,
    /// The module declined to start.
    Uninitialized,
    /// The module cannot reload.
    NotReloadable,
}

/// Somebody registered, as `PJSIPShowRegistrationInboundContactStatuses` tells it. Whatever a
/// phone said of itself is here as it said it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InboundContact {
    /// The address of record, which is the endpoint's name.
    pub aor: String,
    /// Where it is reached.
    pub uri: String,
    /// How it introduced itself.
    pub user_agent: String,
    /// What it believes its own address to be: `10.0.1.20:5060`.
    pub via: String,
    /// Until when, in Unix seconds; none when it is not said.
    pub expires: Option<i64>,
}

impl Ami {
    /// Everybody who is registered. A list that is not as long as it promises is an error.
    pub async fn inbound_contacts(&mut self) -> Result<Vec<InboundContact>, AmiError> {
        let (mut contacts, mut promised) = (Vec::new(), None);
        let look = |message: Message<'_>| {
            promised = message.text("ListItems").or(promised.take());
            if message.is_event("ContactStatusDetail") {
                contacts.push(contact(message));
            }
        };
        self.list(&Action::new("PJSIPShowRegistrationInboundContactStatuses"), look).await?;
        if promised.is_none_or(|promised| promised != contacts.len().to_string()) {
            return Err(AmiError::Garbled("a list has other items than it promises"));
        }
        Ok(contacts)
    }

    /// Where an endpoint is reached now, each by its URI. Empty when nobody registered as it, or
    /// there is no such endpoint.
    pub async fn contacts_of(&mut self, endpoint: &str) -> Result<Vec<String>, AmiError> {
        let action = Action::new("PJSIPShowEndpoint").field("Endpoint", endpoint)?;
        let mut contacts = Vec::new();
        let look = |message: Message<'_>| {
            if message.is_event("ContactStatusDetail") {
                contacts.extend(message.text("URI"));
            }
        };
        match self.list(&action, look).await {
            Err(AmiError::Failed(text)) if text.starts_with("Unable to retrieve endpoint") => {
                Ok(Vec::new())
            }
            outcome => outcome.map(|()| contacts),
        }
    }

    /// Sends a NOTIFY outside of any dialogue to whatever is registered as `endpoint`. Asterisk
    /// calls it sent when nobody is.
    pub async fn notify(&mut self, endpoint: &str, event: &str) -> Result<(), AmiError> {
        let action = Action::new("PJSIPNotify").field("Endpoint", endpoint)?;
        let action = action.field("Variable", &format!("Event={event}"))?;
        // RFC 6665, 8.2.1: every NOTIFY says how its subscription stands.
        self.action(&action.field("Variable", "Subscription-State=terminated")?).await
    }

    /// Asterisk's version, from `CoreSettings`.
    pub async fn version(&mut self) -> Result<Version, AmiError> {
        let text = self.text_of("CoreSettings", "AsteriskVersion").await?;
        parse_version(&text).ok_or(AmiError::Garbled("the version is not major.minor.patch"))
    }

    /// When Asterisk started, as `2026-11-21 00:07:40` in its own time zone: changed means restarted, no more.
    pub async fn started_at(&mut self) -> Result<String, AmiError> {
        let (mut date, mut time) = (None, None);
        let look =
            |m: Message<'_>| (date, time) = (m.text("CoreStartupDate"), m.text("CoreStartupTime"));
        self.list(&Action::new("CoreStatus"), look).await?;
        let missing = AmiError::Garbled("the start time is missing");
        date.zip(time).map(|(date, time)| format!("{date} {time}")).ok_or(missing)
    }

    /// Whether Asterisk answers at all.
    pub async fn ping(&mut self) -> Result<(), AmiError> {
        self.action(&Action::new("Ping")).await
    }

    /// Reloads one module, such as `res_pjsip.so`, and waits until it is done.
    ///
    /// The status is that of the `Reload` event, because the response calls a queued reload a success. Without the
    /// system class in the user's `read` the event does not come; then the response's word is taken after a short wait.
    pub async fn reload(&mut self, module: &str) -> Result<ReloadResult, AmiError> {
        let action = Action::new("Reload").field("Module", module)?;
        let answer = match self.ask(&action, self.timeouts.reload, |_| ()).await {
            Ok(()) => ReloadResult::Reloaded,
            Err(AmiError::Failed(text)) => result_of_message(&text),
            Err(error) => return Err(error),
        };
        let status = self.event(self.timeouts.reload_event, |m| status_of(m, module)).await;
        Ok(status.unwrap_or(answer))
    }

    /// The ids of all objects of a kind that Asterisk holds.
    pub async fn ids(&mut self, kind: ObjectKind) -> Result<BTreeSet<String>, AmiError> {
        let (action, empty) = match kind {
            ObjectKind::Endpoint => ("PJSIPShowEndpoints", "No endpoints found"),
            ObjectKind::Auth => ("PJSIPShowAuths", "No Auths found"),
            ObjectKind::Aor => ("PJSIPShowAors", "No AORs found"),
        };
        let (mut ids, mut promised) = (BTreeSet::new(), None);
        let look = |message: Message<'_>| {
            promised = message.text("ListItems").or(promised.take());
            ids.extend(message.text("ObjectName"));
        };
        match self.list(&Action::new(action), look).await {
            Err(AmiError::Failed(text)) if text == empty => return Ok(BTreeSet::new()),
            outcome => outcome?,
        }
        if promised.is_some_and(|promised| promised != ids.len().to_string()) {
            return Err(AmiError::Garbled("a list has other items than it promises"));
        }
        Ok(ids)
    }

    /// Whether Asterisk holds an object. Cheap for an endpoint; for the others Asterisk can only be asked for all.
    pub async fn has_object(&mut self, kind: ObjectKind, id: &str) -> Result<bool, AmiError> {
        match kind {
            ObjectKind::Endpoint => Ok(!self.parts_of_endpoint(id).await?.is_empty()),
            ObjectKind::Auth | ObjectKind::Aor => Ok(self.ids(kind).await?.contains(id)),
        }
    }

    /// An endpoint with the auths and aors it names, as far as Asterisk holds them: one question for three canaries.
    /// Empty when there is no such endpoint.
    pub async fn parts_of_endpoint(
        &mut self,
        id: &str,
    ) -> Result<BTreeSet<(ObjectKind, String)>, AmiError> {
        let action = Action::new("PJSIPShowEndpoint").field("Endpoint", id)?;
        let mut parts = BTreeSet::new();
        let look = |message: Message<'_>| {
            let kind = message.get("ObjectType").and_then(ObjectKind::from_type);
            parts.extend(kind.zip(message.text("ObjectName")));
        };
        match self.list(&action, look).await {
            Err(AmiError::Failed(text)) if text.starts_with("Unable to retrieve endpoint") => {
                Ok(BTreeSet::new())
            }
            outcome => outcome.map(|()| parts),
        }
    }

    /// Whether the dialplan has a context.
    pub async fn has_context(&mut self, name: &str) -> Result<bool, AmiError> {
        match self.action(&Action::new("ShowDialPlan").field("Context", name)?).await {
            Err(AmiError::Failed(text)) if text.starts_with("Did not find context") => Ok(false),
            outcome => outcome.map(|()| true),
        }
    }

    /// What a context of the dialplan holds; nothing when there is no such context.
    pub async fn steps(&mut self, context: &str) -> Result<BTreeSet<Step>, AmiError> {
        let action = Action::new("ShowDialPlan").field("Context", context)?;
        let mut steps = BTreeSet::new();
        let look = |message: Message<'_>| {
            let step = message.text("Extension").zip(message.text("Priority"));
            steps.extend(step.map(|(extension, priority)| Step { extension, priority }));
        };
        match self.list(&action, look).await {
            Err(AmiError::Failed(text)) if text.starts_with("Did not find context") => {
                Ok(BTreeSet::new())
            }
            outcome => outcome.map(|()| steps),
        }
    }

    async fn text_of(&mut self, action: &'static str, key: &str) -> Result<String, AmiError> {
        let mut found = None;
        self.list(&Action::new(action), |message| found = message.text(key)).await?;
        found.ok_or(AmiError::Garbled("a field is missing"))
    }
}

fn contact(message: Message<'_>) -> InboundContact {
    let text = |key| message.text(key).unwrap_or_default();
    InboundContact {
        aor: text("AOR"),
        uri: text("URI"),
        user_agent: text("UserAgent"),
        via: text("ViaAddress"),
        expires: text("RegExpire").parse().ok(),
    }
}

/// `22.10.1+dfsg` is `(22, 10, 1)`.
fn parse_version(text: &str) -> Option<Version> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let mut numbers = text.get(..end)?.split('.').map(|number| number.parse().ok());
    match (numbers.next()??, numbers.next()??, numbers.next()) {
        (major, minor, None) => Some((major, minor, 0)),
        (major, minor, Some(patch)) => Some((major, minor, patch?)),
    }
}

fn status_of(message: Message<'_>, module: &str) -> Option<ReloadResult> {
    if message.get("Event") != Some(b"Reload") || message.get("Module") != Some(module.as_bytes()) {
        return None;
    }
    match message.get("Status")? {
        b"0" => Some(ReloadResult::Reloaded),
        b"1" => Some(ReloadResult::Queued),
        b"2" => Some(ReloadResult::NoSuchModule),
        b"4" => Some(ReloadResult::InProgress),
        b"5" => Some(ReloadResult::Uninitialized),
        b"6" => Some(ReloadResult::NotReloadable),
        _ => Some(ReloadResult::Failed),
    }
}

fn result_of_message(text: &str) -> ReloadResult {
    match text {
        "No such module" => ReloadResult::NoSuchModule,
        "Module does not support reload" => ReloadResult::NotReloadable,
        "A reload is in progress" => ReloadResult::InProgress,
        "Module not initialized" => ReloadResult::Uninitialized,
        _ => ReloadResult::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_may_have_a_tail_and_may_lack_its_patch() {
        assert_eq!(parse_version("22.10.1+dfsg+~cs6.17.60671434-1"), Some((22, 10, 1)));
        assert_eq!(parse_version("23.0"), Some((23, 0, 0)));
        assert_eq!(parse_version("22.10.0-rc1"), Some((22, 10, 0)));
        assert_eq!(parse_version("GIT-master-abc"), None);
        assert_eq!(parse_version("99999999999.1"), None);
    }
}
