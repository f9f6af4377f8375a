//! TFTP as phones and other clients speak it.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use patchbay::provision::tftp::packet::{Packet, Request};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::support::app::{TestApp, both_databases};
use crate::support::server::{Server, command, free_port};

/// A server for `app`, and what ends it.
async fn serve(app: &TestApp) -> (SocketAddr, watch::Sender<bool>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let (leave, leaving) = watch::channel(false);
    actix_web::rt::spawn(app.provisioner.clone().tftp(socket, leaving));
    (address, leave)
}

fn read(file: &str, options: &[(&str, &str)]) -> Packet {
    let options = options.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    Packet::Read(Request { file: file.to_owned(), mode: "octet".to_owned(), options })
}

struct Client(UdpSocket);

impl Client {
    async fn new() -> Self {
        Self(UdpSocket::bind("127.0.0.1:0").await.unwrap())
    }

    async fn send(&self, to: SocketAddr, packet: &Packet) {
        self.0.send_to(&packet.bytes(), to).await.unwrap();
    }

    /// The next packet; none when nothing comes for a while.
    async fn next(&self, within: Duration) -> Option<(Packet, SocketAddr)> {
        let mut buffer = [0; 2000];
        let (length, from) = timeout(within, self.0.recv_from(&mut buffer)).await.ok()?.unwrap();
        Some((Packet::parse(&buffer[..length]).unwrap(), from))
    }

    async fn must(&self) -> (Packet, SocketAddr) {
        self.next(Duration::from_secs(10)).await.expect("an answer")
    }
}

const SHORT: Duration = Duration::from_millis(300);

both_databases! {
    async fn a_phone_is_sent_to_its_url_and_told_no_secret(app: TestApp) {
        let keys = crate::provision::phone(&app, patchbay::id::TenantId::DEFAULT, "001565aabbcc").await;
        let (server, leave) = serve(&app).await;
        let client = Client::new().await;
        for file in ["001565aabbcc.cfg", "y000000000066.cfg", "cfg000b82aabbcc.xml", "spa504G.cfg", "0004f2aabbcc-common.cfg"] {
            client.send(server, &read(file, &[])).await;
            let (Packet::Data { block: 1, data }, from) = client.must().await else { panic!("{file}") };
            assert_ne!(from, server, "each file is sent from a port of its own");
            client.send(from, &Packet::Ack(1)).await;
            let text = String::from_utf8(data).unwrap();
            assert!(text.contains("patchbay.test/provision"), "{text}");
            assert!(!text.contains(&keys.token) && !text.contains(&keys.http_password));
        }
        for file in ["../../etc/passwd", "/etc/passwd", "", "sip.ld", "phonebook.xml", "001565aabbcc"] {
            client.send(server, &read(file, &[])).await;
            let (Packet::Error { code, .. }, _) = client.must().await else { panic!("{file}") };
            assert_eq!(code, 1, "{file}");
        }
        client.send(server, &Packet::Write).await;
        assert!(matches!(client.must().await.0, Packet::Error { code: 2, .. }));
        client.send(server, &Packet::Ack(3)).await;
        assert!(matches!(client.must().await.0, Packet::Error { code: 4, .. }));
        app.provisioner.flush().await.unwrap();
        let log = app.texts("SELECT outcome || ' ' || how || ' ' || path FROM boot_request ORDER BY id").await;
        assert_eq!(log[0], "served tftp 001565aabbcc.cfg");
        assert_eq!(log[5], "unknown tftp (not a file name)");
        let _ = leave.send(true);
    }

    async fn what_is_lost_is_sent_again_and_what_comes_twice_is_not(app: TestApp) {
        let (server, leave) = serve(&app).await;
        let client = Client::new().await;
        // Small blocks, so that there are some.
        client.send(server, &read("001565aabbcc.cfg", &[("blksize", "16"), ("tsize", "0"), ("timeout", "1")])).await;
        let (Packet::Options(agreed), from) = client.must().await else { panic!() };
        let size: usize = agreed.iter().find(|(name, _)| name == "tsize").unwrap().1.parse().unwrap();
        // The agreement is lost, and comes again.
        assert!(matches!(client.must().await.0, Packet::Options(_)));
        client.send(from, &Packet::Ack(0)).await;
        let (Packet::Data { block: 1, data: first }, _) = client.must().await else { panic!() };
        let (Packet::Data { block: 1, .. }, _) = client.must().await else { panic!("block 1 is sent again") };
        // A stranger cannot take part.
        let stranger = Client::new().await;
        stranger.send(from, &Packet::Ack(1)).await;
        assert!(matches!(stranger.must().await.0, Packet::Error { code: 5, .. }));
        // The acknowledgement of block 1 came twice: block 2 is sent once.
        client.send(from, &Packet::Ack(1)).await;
        client.send(from, &Packet::Ack(1)).await;
        let (Packet::Data { block: 2, data: second }, _) = client.must().await else { panic!() };
        assert!(client.next(SHORT).await.is_none(), "the sorcerer's apprentice");
        let mut content = [first, second].concat();
        let mut block = 2;
        loop {
            client.send(from, &Packet::Ack(block)).await;
            let (Packet::Data { block: number, data }, _) = client.must().await else { panic!() };
            assert_eq!(number, block + 1);
            block = number;
            content.extend(&data);
            if data.len() < 16 {
                break;
            }
        }
        client.send(from, &Packet::Ack(block)).await;
        assert_eq!(content.len(), size);
        assert!(String::from_utf8(content).unwrap().starts_with("#!version:1.0.0.1\n"));
        let _ = leave.send(true);
    }

    async fn an_ordinary_client_fetches_a_file(app: TestApp) {
        let (server, leave) = serve(&app).await;
        let url = format!("tftp://{server}/y000000000066.cfg");
        let run = move |block: &'static str| {
            let url = url.clone();
            tokio::task::spawn_blocking(move || Command::new("curl").args(["-sS", "--max-time", "20", "--tftp-blksize", block, &url]).output().unwrap())
        };
        for block in ["8", "512", "1400"] {
            let output = run(block).await.unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(text.contains("http://patchbay.test/provision/"), "{text} {}", String::from_utf8_lossy(&output.stderr));
        }
        let _ = leave.send(true);
    }
}

/// The UDP ports a process has open.
fn udp_ports(pid: u32) -> Vec<u16> {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let links = open.filter_map(|file| std::fs::read_link(file.unwrap().path()).ok());
    let sockets: Vec<String> = links.map(|link| link.to_string_lossy().into_owned()).collect();
    let mut ports = Vec::new();
    for table in ["udp", "udp6"] {
        let table = std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap();
        for line in table.lines().skip(1) {
            let cells: Vec<&str> = line.split_whitespace().collect();
            if sockets.contains(&format!("socket:[{}]", cells[9])) {
                let (_, port) = cells[1].rsplit_once(':').unwrap();
                ports.push(u16::from_str_radix(port, 16).unwrap());
            }
        }
    }
    ports
}

#[tokio::test]
async fn the_program_answers_tftp_where_it_is_told_to_and_of_itself_nowhere() {
    let free = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = free.local_addr().unwrap();
    drop(free);
    let server = Server::start_with(vec![("PATCHBAY_PHONES_TFTP", at.to_string())]);
    assert_eq!(udp_ports(server.pid()), [at.port()]);
    let client = Client::new().await;
    client.send(at, &read("001565aabbcc.cfg", &[])).await;
    let (Packet::Data { block: 1, data }, from) = client.must().await else { panic!() };
    client.send(from, &Packet::Ack(1)).await;
    let text = String::from_utf8(data).unwrap();
    assert!(text.contains(&format!("{}/provision", server.url)), "{text}");
    drop(server);
    let server = Server::start();
    assert!(udp_ports(server.pid()).is_empty());

    // Where somebody else answers, it does not say that it listens.
    let taken = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let env = [
        ("PATCHBAY_DATA_DIR", dir.path().display().to_string()),
        ("PATCHBAY_LISTEN", format!("127.0.0.1:{}", free_port())),
        ("PATCHBAY_PHONES_TFTP", taken.local_addr().unwrap().to_string()),
    ];
    let refused = command(&env, &[]);
    let (said, why) = (refused.stdout, String::from_utf8(refused.stderr).unwrap());
    assert!(!refused.status.success() && said.is_empty(), "{why}");
    assert!(why.contains("cannot answer TFTP on 127.0.0.1:"), "{why}");
}
