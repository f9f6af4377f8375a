//! Against a server on loopback that says what the test wants.

use std::sync::Arc;

use super::*;

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 15));
const ID: u16 = 0x1234;
const WAIT: Duration = Duration::from_secs(20);

/// An answer to the question in `query` with these flags and the PTR record's data.
fn reply(query: &[u8], flags: u16, data: Option<&[u8]>) -> Vec<u8> {
    let mut bytes = query.to_vec();
    bytes[2..4].copy_from_slice(&flags.to_be_bytes());
    if let Some(data) = data {
        bytes[7] = 1;
        // The owner is a pointer to the question's name, as every server writes it.
        bytes.extend([0xc0, 12, 0, 12, 0, 1, 0, 0, 0, 60]);
        bytes.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        bytes.extend(data);
    }
    bytes
}

/// A server that answers every question with all that `answers` makes of it.
async fn server(
    answers: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static,
) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let address = socket.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut buffer = [0; 512];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            for answer in answers(&buffer[..length]) {
                socket.send_to(&answer, from).await.unwrap();
            }
        }
    });
    (address, task)
}

async fn ask_for(
    answers: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static,
) -> Result<Option<String>, NameError> {
    let (address, task) = server(answers).await;
    let result = reverse(ADDRESS, &[address], ID, WAIT).await;
    task.abort();
    result
}

const DESK: &[u8] = b"\x04Desk\x07example\x00";

#[tokio::test]
async fn a_name_comes_back_as_it_is_written() {
    let name = ask_for(|query| vec![reply(query, 0x8180, Some(DESK))]).await;
    assert_eq!(name.unwrap().as_deref(), Some("Desk.example"));
}

#[tokio::test]
async fn no_such_name_is_an_answer() {
    assert_eq!(ask_for(|query| vec![reply(query, 0x8183, None)]).await.unwrap(), None);
    assert_eq!(ask_for(|query| vec![reply(query, 0x8180, None)]).await.unwrap(), None);
}

#[tokio::test]
async fn what_answers_another_question_is_passed_over() {
    let name = ask_for(|query| {
        let mut other_id = reply(query, 0x8180, Some(b"\x04evil\x00"));
        other_id[0] ^= 1;
        let mut other_name = reply(query, 0x8180, Some(b"\x04evil\x00"));
        other_name[13] ^= 1;
        let echoed = query.to_vec();
        vec![other_id, other_name, echoed, vec![0; 3], reply(query, 0x8180, Some(DESK))]
    });
    assert_eq!(name.await.unwrap().as_deref(), Some("Desk.example"));
}

#[tokio::test]
async fn errors_are_told_apart() {
    let cut = ask_for(|query| vec![reply(query, 0x8380, Some(DESK))]).await;
    assert!(matches!(cut, Err(NameError::Truncated)));
    let refused = ask_for(|query| vec![reply(query, 0x8185, None)]).await;
    assert!(matches!(refused, Err(NameError::Refused(5))));
    let short = ask_for(|query| {
        let mut head = query[..12].to_vec();
        head[2..6].copy_from_slice(&[0x81, 0x85, 0, 0]);
        vec![head]
    });
    assert!(matches!(short.await, Err(NameError::Refused(5))));
    let garbled = ask_for(|query| vec![reply(query, 0x8180, Some(b"\x3fshort"))]).await;
    assert!(matches!(garbled, Err(NameError::Garbled)));
    assert!(matches!(reverse(ADDRESS, &[], ID, WAIT).await, Err(NameError::NoServer)));
}

#[tokio::test]
async fn a_server_that_says_nothing_costs_its_time_and_the_next_is_asked() {
    let (silent, one) = server(|_| vec![]).await;
    let (good, two) = server(|query| vec![reply(query, 0x8180, Some(DESK))]).await;
    let brief = Duration::from_millis(50);
    let alone = reverse(ADDRESS, &[silent], ID, brief).await;
    assert!(matches!(alone, Err(NameError::Timeout)), "{alone:?}");
    // The good one has all the time it may need on a busy machine: only the silent one is waited for.
    let name = reverse(ADDRESS, &[silent, good], ID, Duration::from_secs(1)).await;
    assert_eq!(name.unwrap().as_deref(), Some("Desk.example"));
    one.abort();
    two.abort();
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_an_error_at_once() {
    let closed = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let result = reverse(ADDRESS, &[closed], ID, WAIT).await;
    assert!(matches!(result, Err(NameError::Io(_))), "{result:?}");
}

#[test]
fn servers_are_read_from_resolv_conf() {
    let text = "# nameserver 192.0.2.9\nsearch example\nnameserver 192.0.2.1 # first\r\n\
                nameserver fe80::1%eth0\nnameserver\nnameserver ::1\n nameserver 192.0.2.2\n\
                nameserver 192.0.2.3\noptions edns0";
    let found: Vec<String> = servers(text).iter().map(ToString::to_string).collect();
    assert_eq!(found, ["192.0.2.1:53", "[::1]:53", "192.0.2.2:53"]);
}
