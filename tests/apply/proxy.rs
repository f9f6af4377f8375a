//! Something between Patchbay and the manager interface that goes wrong at a chosen word.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{Notify, Semaphore},
    task::JoinHandle,
};

/// What happens when an action is asked for.
#[derive(Clone, Copy)]
pub enum Fault {
    /// It does not arrive, and no answer comes.
    Stall,
    /// It arrives, the answer does not.
    Swallow,
    /// It arrives, and the connection ends.
    Cut,
    /// It arrives, and the connection ends after so many bytes of the answer.
    Short(usize),
    /// It waits until it is let through.
    Hold,
    /// It is answered with these lines instead.
    Answer(&'static str),
}

struct Plan {
    word: &'static str,
    fault: Fault,
    /// How many times not yet, and how many more times then.
    times: Mutex<(u32, u32)>,
    reached: Notify,
    go: Semaphore,
    /// Where the manager interface is.
    target: u16,
}

pub struct Proxy {
    pub port: u16,
    plan: Arc<Plan>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Goes wrong the first `times` times that a client says `word`.
    pub async fn new(target: u16, word: &'static str, fault: Fault, times: u32) -> Self {
        Self::with(target, word, fault, (0, times)).await
    }

    /// Goes wrong once, after `word` was said `skip` times.
    pub async fn later(target: u16, word: &'static str, fault: Fault, skip: u32) -> Self {
        Self::with(target, word, fault, (skip, 1)).await
    }

    async fn with(target: u16, word: &'static str, fault: Fault, times: (u32, u32)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let plan = Arc::new(Plan {
            word,
            fault,
            times: Mutex::new(times),
            reached: Notify::new(),
            go: Semaphore::new(0),
            target,
        });
        let serve = plan.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, serve.clone()));
            }
        });
        Self { port, plan, task }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Waits until the word was said.
    pub async fn reached(&self) {
        self.plan.reached.notified().await;
    }

    /// Lets what is held go on.
    pub fn go(&self) {
        self.plan.go.add_permits(100);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(client: TcpStream, plan: Arc<Plan>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", plan.target)).await else {
        return;
    };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (answers, mut made_up) = tokio::sync::mpsc::unbounded_channel::<Option<String>>();
    let left = Arc::new(Mutex::new(usize::MAX));
    let allowed = left.clone();
    let back = tokio::spawn(async move {
        let mut buffer = vec![0; 65_536];
        loop {
            tokio::select! {
                read = from_server.read(&mut buffer) => match read {
                    Ok(length @ 1..) => {
                        let length = {
                            let mut left = left.lock().unwrap();
                            let length = length.min(*left);
                            *left -= length;
                            length
                        };
                        if length == 0 || to_client.write_all(&buffer[..length]).await.is_err() { return }
                    }
                    _ => return,
                },
                text = made_up.recv() => match text {
                    Some(Some(text)) => to_client.write_all(text.as_bytes()).await.unwrap(),
                    // Keeps the connection, says nothing more.
                    Some(None) => std::future::pending().await,
                    None => return,
                },
            }
        }
    });
    let mut buffer = vec![0; 65_536];
    while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if text.contains(plan.word) && plan.strikes() {
            match plan.fault {
                Fault::Stall => {
                    plan.reached.notify_one();
                    let _ = answers.send(None);
                    continue;
                }
                Fault::Swallow => {
                    let _ = answers.send(None);
                }
                Fault::Cut => {
                    let _ = to_server.write_all(text.as_bytes()).await;
                    back.abort();
                    return;
                }
                Fault::Short(bytes) => {
                    *allowed.lock().unwrap() = bytes;
                    plan.reached.notify_one();
                }
                Fault::Hold => {
                    plan.reached.notify_one();
                    let _ = plan.go.acquire().await;
                }
                Fault::Answer(lines) => {
                    let id = text.lines().find(|line| line.starts_with("ActionID")).unwrap();
                    let _ = answers.send(Some(lines.replace("ActionID", id)));
                    continue;
                }
            }
        }
        if to_server.write_all(text.as_bytes()).await.is_err() {
            break;
        }
    }
    back.abort();
}

impl Plan {
    fn strikes(&self) -> bool {
        let mut times = self.times.lock().unwrap();
        let (skip, left) = *times;
        *times = (skip.saturating_sub(1), if skip > 0 { left } else { left.saturating_sub(1) });
        skip == 0 && left > 0
    }
}
