//! What phones put.

use actix_web::HttpResponse;

use super::super::Provisioner;
use super::super::types::{Outcome, Request};
use super::{Call, Door, Guest, refused};

impl Provisioner {
    /// The phone that may put something; the answer for whoever may not.
    pub(in crate::provision) async fn may_put(
        &self,
        call: &Call<'_>,
    ) -> Result<Putting, HttpResponse> {
        let epoch = self.epochs.now(&self.state.db).await;
        let admitted = match &call.door {
            Door::Token(hash) => {
                self.by_token(call, hash, epoch).await.map(|guest| (guest, "token"))
            }
            Door::Password => self.by_password(call, true).await.map(|guest| (guest, "password")),
            Door::Plain | Door::None => {
                refused(Outcome::Refused, None, "nothing is taken by its plain name")
            }
        };
        let (guest, how) = admitted.map_err(|shut| self.shut(call, shut))?;
        if !call.asked.is_put(guest.vendor) {
            return Err(self.without(call, guest, Outcome::Unknown, how));
        }
        Ok(Putting { guest, how })
    }

    /// Notes what a phone put. It is not kept: a phone's own settings on the server would count
    /// more than those made here. How many there are is said, so that somebody may undo them.
    pub(in crate::provision) fn put(&self, call: &Call<'_>, putting: &Putting, body: &[u8]) {
        let guest = putting.guest;
        let overrides = overrides(&call.asked.name, body);
        let how = match overrides {
            Some(count) => format!("{}: {count} settings made at the phone", putting.how),
            None => putting.how.to_owned(),
        };
        let row = Request {
            tenant: Some(guest.tenant),
            mac: Some(guest.mac),
            bytes: i64::try_from(body.len()).unwrap_or(i64::MAX),
            ..call.row(Outcome::Uploaded, &how)
        };
        self.log.note(row, Some(call.sighting(guest.mac, None)));
    }
}

/// Somebody who may put something.
pub(in crate::provision) struct Putting {
    guest: Guest,
    how: &'static str,
}

/// How many settings a file of overrides holds; none if it is no such file.
fn overrides(name: &str, body: &[u8]) -> Option<usize> {
    let lower = name.to_ascii_lowercase();
    let xml = ["-phone.cfg", "-web.cfg"].iter().any(|end| lower.ends_with(end));
    let text = String::from_utf8_lossy(body);
    if xml {
        let body = text.split_once("?>").map_or(text.as_ref(), |(_, body)| body);
        return Some(body.matches("=\"").count());
    }
    let is_setting = |line: &str| line.contains('=') && !line.trim_start().starts_with('#');
    lower.ends_with("-local.cfg").then(|| text.lines().filter(|line| is_setting(line)).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_made_at_a_phone_are_counted() {
        let poly =
            br#"<?xml version="1.0"?><PHONE_CONFIG><OVERRIDES a.b="1" c.d="x=y"/></PHONE_CONFIG>"#;
        let none = b"<PHONE_CONFIG><OVERRIDES/></PHONE_CONFIG>";
        let yealink = b"#!version:1.0.0.1\nlang.gui = German\n";
        assert_eq!(overrides("0004f2aabbcc-phone.cfg", poly), Some(2));
        assert_eq!(overrides("0004f2aabbcc-web.cfg", none), Some(0));
        assert_eq!(overrides("001565aabbcc-local.cfg", yealink), Some(1));
        assert_eq!(overrides("0004f2aabbcc-app.log", b"a=\"b\""), None);
    }
}
