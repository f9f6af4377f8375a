//! The bytes of a DNS question for one PTR record, and of its answer (RFC 1035 section 4).

use std::fmt::Write as _;
use std::net::IpAddr;

use super::NameError;
use crate::probe::hostname;

const CNAME: u16 = 5;
const PTR: u16 = 12;
const INTERNET: u16 = 1;
/// A name has at most 127 labels; whoever follows more pointers than that is led in a circle.
const MOST_STEPS: usize = 127;
/// Names longer than this on the wire are none (RFC 1035 section 2.3.4).
const NAME_BYTES: usize = 255;

/// What an answer says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The name, if it is valid as the text of a host name.
    Name(Option<String>),
    /// There is no such record.
    Nothing,
}

/// The labels of a name, in lower case: DNS knows no difference (RFC 4343).
type Labels = Vec<Vec<u8>>;

/// Where the names of addresses stand: `in-addr.arpa` (RFC 1035 section 3.5) and `ip6.arpa` (RFC 3596 section 2.5).
fn arpa(address: IpAddr) -> String {
    let mut name = String::new();
    match address {
        IpAddr::V4(address) => {
            for octet in address.octets().iter().rev() {
                let _ = write!(name, "{octet}.");
            }
            name + "in-addr.arpa"
        }
        IpAddr::V6(address) => {
            for octet in address.octets().iter().rev() {
                let _ = write!(name, "{:x}.{:x}.", octet & 15, octet >> 4);
            }
            name + "ip6.arpa"
        }
    }
}

fn labels(name: &str) -> Labels {
    name.split('.').map(|label| label.as_bytes().to_vec()).collect()
}

fn lower(labels: &Labels) -> Labels {
    labels.iter().map(|label| label.to_ascii_lowercase()).collect()
}

/// The question, recursion desired. Without EDNS, which old servers refuse: one name fits into 512 bytes.
pub(super) fn question(address: IpAddr, id: u16) -> Vec<u8> {
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in labels(&arpa(address)) {
        bytes.extend(u8::try_from(label.len()));
        bytes.extend(label);
    }
    bytes.push(0);
    bytes.extend(PTR.to_be_bytes());
    bytes.extend(INTERNET.to_be_bytes());
    bytes
}

/// What `bytes` say to the question for `address` with this `id`; `None` if they are no answer to it at all, and the
/// right one may still come.
pub(super) fn answer(address: IpAddr, id: u16, bytes: &[u8]) -> Option<Result<Answer, NameError>> {
    let mut reader = Reader { bytes, at: 0 };
    let is_response = |flags: u16| flags & 0x8000 != 0;
    if reader.number()? != id {
        return None;
    }
    let flags = reader.number().filter(|flags| is_response(*flags))?;
    let (questions, answers) = (reader.number()?, reader.number()?);
    reader.skip(4)?;
    if questions == 0 && !matches!(flags & 15, 0 | 3) {
        // Who refuses everything need not repeat the question.
        return Some(Err(NameError::Refused(flags & 15)));
    }
    let wanted = labels(&arpa(address));
    if questions != 1
        || reader.name()? != wanted
        || (reader.number()?, reader.number()?) != (PTR, INTERNET)
    {
        return None;
    }
    Some(match flags & 15 {
        // A cut answer is not to be used (RFC 2181 section 9).
        0 if flags & 0x0200 != 0 => Err(NameError::Truncated),
        0 => records(&mut reader, answers, wanted).ok_or(NameError::Garbled),
        3 => Ok(Answer::Nothing),
        code => Err(NameError::Refused(code)),
    })
}

/// The first PTR record of the wanted name. A CNAME moves on to another: so parts of a network smaller than /24 get
/// their names from elsewhere (RFC 2317).
fn records(reader: &mut Reader<'_>, count: u16, mut wanted: Labels) -> Option<Answer> {
    for _ in 0..count {
        let owner = reader.name()?;
        let (kind, class) = (reader.number()?, reader.number()?);
        reader.skip(4)?;
        let length = usize::from(reader.number()?);
        let mut data = Reader { bytes: reader.bytes, at: reader.at };
        reader.skip(length)?;
        if owner != wanted || class != INTERNET || !matches!(kind, CNAME | PTR) {
            continue;
        }
        let (target, text) = data.name_and_text()?;
        if kind == PTR {
            return Some(Answer::Name(text.and_then(|text| hostname::valid(&text))));
        }
        wanted = target;
    }
    Some(Answer::Nothing)
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Reader<'b> {
    fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.take(count).map(|_| ())
    }

    fn octet(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn number(&mut self) -> Option<u16> {
        self.take(2)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
    }

    fn name(&mut self) -> Option<Labels> {
        self.raw_name().as_ref().map(lower)
    }

    /// The name to compare with, and as text as it was written, if it is text. A dot within a label would look like one
    /// between two: such a name has no text.
    fn name_and_text(&mut self) -> Option<(Labels, Option<String>)> {
        let labels = self.raw_name()?;
        let plain = !labels.iter().any(|label| label.contains(&b'.'));
        let text = plain.then(|| String::from_utf8(labels.join(&b'.')).ok()).flatten();
        Some((lower(&labels), text))
    }

    /// The labels of a name. A pointer leads to where the rest stands (RFC 1035 section 4.1.4).
    fn raw_name(&mut self) -> Option<Labels> {
        let (mut labels, mut length) = (Labels::new(), 1);
        let mut place = Reader { bytes: self.bytes, at: self.at };
        let mut jumped = false;
        for _ in 0..=MOST_STEPS {
            let octet = place.octet()?;
            if octet & 0xc0 == 0xc0 {
                let low = place.octet()?;
                if !jumped {
                    self.at = place.at;
                }
                jumped = true;
                place.at = usize::from(u16::from_be_bytes([octet & 0x3f, low]));
                continue;
            }
            if octet == 0 {
                if !jumped {
                    self.at = place.at;
                }
                return Some(labels);
            }
            length += usize::from(octet) + 1;
            // The two bits in front are no length over 63: other kinds of labels died out (RFC 6891 section 5).
            if octet > 63 || length > NAME_BYTES {
                return None;
            }
            labels.push(place.take(usize::from(octet))?.to_vec());
        }
        None
    }
}

#[cfg(test)]
mod tests;
