//! The bytes of the manager protocol: lines into messages, messages into the answer to one action. No sockets here.

use super::AmiError;

/// Longest line we take. Asterisk's own stay far below; a longer one is not the manager protocol.
const LINE_BYTES: usize = 64 << 10;
/// Most bytes one action may be answered with, unsolicited events included: about ten times the 10,000 users we plan for.
pub(super) const ANSWER_BYTES: usize = 64 << 20;

/// What has arrived and is not used yet.
#[derive(Debug, Default)]
pub(super) struct Wire {
    buffer: Vec<u8>,
    /// Where the message being collected begins, and its line that is not complete.
    message: usize,
    line: usize,
    /// Bytes since the action was sent.
    answer: usize,
}

impl Wire {
    /// A new action: what comes from now on counts for it.
    pub(super) fn begin(&mut self) {
        self.answer = 0;
    }

    /// Where the next bytes go; [`received`](Self::received) says how many they were.
    pub(super) fn space(&mut self) -> &mut Vec<u8> {
        self.buffer.drain(..self.message);
        self.line -= self.message;
        self.message = 0;
        self.buffer.reserve(LINE_BYTES);
        &mut self.buffer
    }

    pub(super) fn received(&mut self, bytes: usize) -> Result<(), AmiError> {
        self.answer = self.answer.saturating_add(bytes);
        if self.answer > ANSWER_BYTES {
            Err(AmiError::Garbled("the answer does not end"))
        } else {
            Ok(())
        }
    }

    /// The next line without its end, once it is complete. Only for the greeting.
    pub(super) fn greeting(&mut self) -> Result<Option<String>, AmiError> {
        let Some(line) = self.take_line()? else { return Ok(None) };
        self.message = self.line;
        Ok(Some(String::from_utf8_lossy(self.buffer.get(line).unwrap_or_default()).into_owned()))
    }

    /// The next message, once it is complete. Blank lines between messages are nothing: Asterisk sends spare ones.
    pub(super) fn message(&mut self) -> Result<Option<Message<'_>>, AmiError> {
        while let Some(line) = self.take_line()? {
            if !line.is_empty() {
                continue;
            }
            let message = self.message..line.start;
            self.message = self.line;
            if !message.is_empty() {
                return Ok(Some(Message(self.buffer.get(message).unwrap_or_default())));
            }
        }
        Ok(None)
    }

    fn take_line(&mut self) -> Result<Option<std::ops::Range<usize>>, AmiError> {
        let rest = self.buffer.get(self.line..).unwrap_or_default();
        let end = rest.iter().position(|b| *b == b'\n');
        if end.unwrap_or(rest.len()) > LINE_BYTES {
            return Err(AmiError::Garbled("a line does not end"));
        }
        let Some(end) = end else { return Ok(None) };
        let start = self.line;
        self.line = start + end + 1;
        let content = rest.get(..end).unwrap_or_default();
        let content = content.strip_suffix(b"\r").unwrap_or(content);
        Ok(Some(start..start + content.len()))
    }
}

/// `Key: value` lines. Looked at where they lie, nothing is copied.
#[derive(Clone, Copy, Debug)]
pub struct Message<'m>(&'m [u8]);

impl<'m> Message<'m> {
    pub(super) fn of(lines: &'m [u8]) -> Self {
        Self(lines)
    }

    pub(super) fn lines(&self) -> &'m [u8] {
        self.0
    }

    /// The first value of a key, without outer blanks; keys compare without case.
    pub fn get(&self, key: &str) -> Option<&'m [u8]> {
        self.0.split(|b| *b == b'\n').find_map(|line| {
            let (name, rest) = line.split_at_checked(key.len())?;
            let value =
                rest.strip_prefix(b":").filter(|_| name.eq_ignore_ascii_case(key.as_bytes()))?;
            Some(value.trim_ascii())
        })
    }

    /// The same as text.
    pub fn text(&self, key: &str) -> Option<String> {
        self.get(key).map(|value| String::from_utf8_lossy(value).into_owned())
    }

    pub(super) fn is_event(&self, name: &str) -> bool {
        self.is("Event", name)
    }

    fn is(&self, key: &str, value: &str) -> bool {
        self.get(key).is_some_and(|found| found.eq_ignore_ascii_case(value.as_bytes()))
    }
}

/// How far the answer to one action has come.
#[derive(Debug)]
pub(super) struct Exchange {
    id: String,
    listing: bool,
}

/// What a message is to the exchange.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// Nothing: an event of someone else's doing, or the late answer to an action we gave up.
    Foreign,
    /// Part of the answer, more follows.
    Part,
    /// The last part.
    Last,
}

impl Exchange {
    pub(super) fn new(id: String) -> Self {
        Self { id, listing: false }
    }

    /// Takes a message. An error answer is the error it says.
    pub(super) fn take(&mut self, message: Message<'_>) -> Result<Step, AmiError> {
        if message.get("ActionID") != Some(self.id.as_bytes()) {
            return Ok(Step::Foreign);
        }
        if message.get("Event").is_some() {
            let last = message.is("EventList", "Complete") || message.is("EventList", "Cancelled");
            return Ok(if !self.listing {
                Step::Foreign
            } else if last {
                Step::Last
            } else {
                Step::Part
            });
        }
        if message.get("Response").is_none() {
            return Err(AmiError::Garbled("a message is neither a response nor an event"));
        }
        if message.is("Response", "Error") {
            return Err(refusal(&message.text("Message").unwrap_or_default()));
        }
        self.listing = message.is("EventList", "start");
        Ok(if self.listing { Step::Part } else { Step::Last })
    }
}

fn refusal(message: &str) -> AmiError {
    match message {
        "Permission denied" => AmiError::PermissionDenied,
        "Authentication failed" => AmiError::BadLogin,
        _ => AmiError::Failed(message.chars().filter(|c| !c.is_control()).take(200).collect()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a running 22.10.1 sent, a spare blank line and a line ended by LF alone included.
    const REAL: &str = "Response: Success\r\nActionID: 1\r\nMessage: Authentication accepted\r\n\r\n\
        Event: FullyBooted\r\nPrivilege: system,all\r\nUptime: 31\r\nStatus: Fully Booted\r\n\r\n\
        Response: Success\r\nActionID: 7\r\nEventList: start\r\nMessage: A listing of Aors follows\r\n\r\n\
        Event: AorList\r\nActionID: 7\r\nObjectType: aor\r\nObjectName: 1000\r\nContacts: \r\n\r\n\
        Event: AorList\r\nActionID: 7\r\nObjectType: aor\r\nObjectName: 1001\r\nContacts: \r\n\r\n\
        Event: AorListComplete\r\nActionID: 7\r\nEventList: Complete\r\nListItems: 2\r\n\r\n\
        Response: Error\r\nActionID: 7\r\nMessage: No AORs found\n\r\n\r\n\
        Response: Goodbye\r\nActionID: 7\r\nMessage: Thanks for all the fish.\r\n\r\n";

    fn feed(wire: &mut Wire, bytes: &[u8]) {
        wire.space().extend_from_slice(bytes);
        wire.received(bytes.len()).unwrap();
    }

    /// Every message in the chunks, as the steps they are to action 7.
    fn steps(chunks: &[&[u8]]) -> Vec<Result<Step, AmiError>> {
        let (mut wire, mut exchange, mut steps) =
            (Wire::default(), Exchange::new("7".to_owned()), Vec::new());
        for chunk in chunks {
            feed(&mut wire, chunk);
            loop {
                match wire.message() {
                    Ok(Some(message)) => steps.push(exchange.take(message)),
                    Ok(None) => break,
                    Err(error) => {
                        steps.push(Err(error));
                        return steps;
                    }
                }
            }
        }
        steps
    }

    #[test]
    fn a_list_is_collected_between_other_messages() {
        let steps = steps(&[REAL.as_bytes()]);
        let shown: Vec<_> = steps.iter().map(|step| format!("{step:?}")).collect();
        assert_eq!(
            shown[..6],
            ["Ok(Foreign)", "Ok(Foreign)", "Ok(Part)", "Ok(Part)", "Ok(Part)", "Ok(Last)"]
        );
        assert!(matches!(&steps[6], Err(AmiError::Failed(text)) if text == "No AORs found"));
        assert_eq!(steps.len(), 8);
    }

    #[test]
    fn it_does_not_matter_how_the_bytes_are_cut() {
        let whole: Vec<_> = steps(&[REAL.as_bytes()]).iter().map(|s| format!("{s:?}")).collect();
        for size in [1, 2, 3, 7, 50] {
            let chunks: Vec<_> = REAL.as_bytes().chunks(size).collect();
            assert_eq!(
                steps(&chunks).iter().map(|s| format!("{s:?}")).collect::<Vec<_>>(),
                whole,
                "{size}"
            );
        }
    }

    #[test]
    fn a_line_without_end_is_refused_at_its_limit() {
        let mut wire = Wire::default();
        feed(&mut wire, &vec![b'x'; LINE_BYTES]);
        assert!(wire.message().unwrap().is_none());
        feed(&mut wire, b"x");
        assert!(matches!(wire.message(), Err(AmiError::Garbled(_))));
    }

    #[test]
    fn an_answer_without_end_is_refused_at_its_limit() {
        let mut wire = Wire::default();
        assert!(wire.received(ANSWER_BYTES).is_ok());
        assert!(matches!(wire.received(1), Err(AmiError::Garbled(_))));
        wire.begin();
        assert!(wire.received(1).is_ok());
    }

    #[test]
    fn a_key_is_the_whole_word_before_the_colon() {
        let message = Message(b"ObjectName: a: b \r\nobject: 1\r\nEmpty:\r\n");
        assert_eq!(message.get("objectname"), Some(&b"a: b"[..]));
        assert_eq!(message.get("Object"), Some(&b"1"[..]));
        assert_eq!(message.get("Empty"), Some(&b""[..]));
        assert_eq!(message.get("Name"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn any_bytes_end_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), size in 1_usize..50) {
            steps(&bytes.chunks(size).collect::<Vec<_>>());
        }

        #[test]
        fn a_damaged_transcript_ends_without_a_panic(
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..12),
            size in 1_usize..200,
        ) {
            let mut bytes = REAL.as_bytes().to_vec();
            for (at, byte, insert) in edits {
                let at = at.index(bytes.len());
                if insert { bytes.insert(at, byte) } else { bytes[at] = byte }
            }
            let count = bytes.split(|b| *b == b'\n').count();
            prop_assert!(steps(&bytes.chunks(size).collect::<Vec<_>>()).len() <= count);
        }
    }
}
