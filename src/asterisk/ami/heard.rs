//! Events that come unasked: kept within bounds, and never lost without a word.

use super::Message;

/// Events kept at most.
const MOST: usize = 1_000;
/// Bytes of them kept at most.
const MOST_BYTES: usize = 1 << 20;

/// An event that came unasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event(Vec<u8>);

impl Event {
    /// A field's value as text.
    pub fn text(&self, key: &str) -> Option<String> {
        Message::of(&self.0).text(key)
    }

    /// What it is called.
    pub fn name(&self) -> String {
        self.text("Event").unwrap_or_default()
    }
}

/// What came unasked since one last listened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// In the order they came.
    pub events: Vec<Event>,
    /// Whether there were more than could be kept: none of them is here, and whatever they told
    /// must be asked for anew.
    pub lost: bool,
}

/// Events waiting to be handed out.
#[derive(Debug, Default)]
pub(super) struct Kept {
    kinds: &'static [&'static str],
    events: Vec<Event>,
    bytes: usize,
    lost: bool,
}

impl Kept {
    pub(super) fn of(kinds: &'static [&'static str]) -> Self {
        Self { kinds, ..Self::default() }
    }

    /// Keeps a message if it is an event one listens to.
    pub(super) fn offer(&mut self, message: Message<'_>) {
        let name = message.get("Event").unwrap_or_default();
        if self.lost || !self.kinds.iter().any(|kind| name.eq_ignore_ascii_case(kind.as_bytes())) {
            return;
        }
        self.bytes += message.lines().len();
        if self.events.len() >= MOST || self.bytes > MOST_BYTES {
            self.events.clear();
            self.lost = true;
        } else {
            self.events.push(Event(message.lines().to_vec()));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty() && !self.lost
    }

    pub(super) fn take(&mut self) -> Heard {
        self.bytes = 0;
        Heard { events: std::mem::take(&mut self.events), lost: std::mem::take(&mut self.lost) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_said_to_be_lost_and_then_one_listens_anew() {
        let mut kept = Kept::of(&["ContactStatus"]);
        let event = Message::of(b"Event: ContactStatus\r\nAOR: 1000\r\n");
        kept.offer(Message::of(b"Event: PeerStatus\r\n"));
        kept.offer(Message::of(b"Response: Success\r\n"));
        assert!(kept.is_empty());
        for _ in 0..MOST {
            kept.offer(event);
        }
        let heard = kept.take();
        assert_eq!((heard.events.len(), heard.lost), (MOST, false));
        assert_eq!(heard.events[0].text("aor").as_deref(), Some("1000"));
        assert_eq!(heard.events[0].name(), "ContactStatus");
        for _ in 0..=MOST {
            kept.offer(event);
        }
        assert_eq!(kept.take(), Heard { events: Vec::new(), lost: true });
        let long = [b"Event: ContactStatus\r\nX: ".to_vec(), vec![b'x'; MOST_BYTES]].concat();
        kept.offer(Message::of(&long));
        assert!(kept.take().lost);
        kept.offer(event);
        assert_eq!(kept.take().events.len(), 1);
        assert!(kept.is_empty());
    }
}
