//! Clients that follow the events of rollouts, more than the admin API has places for.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    commands::module::{module, path, short},
    harness::{BEARER, TestHost, fixture, within},
    rollout::canary::{ask, promoted, push, serving},
};

/// The number of clients that may follow events at the same time.
pub const PLACES: usize = 16;

/// A client that follows events, or was rejected.
pub struct Follower {
    /// The head of the response.
    head: String,
    #[allow(dead_code, reason = "held for its drop, which closes the connection")]
    socket: TcpStream,
}

impl Follower {
    /// Asks for the events, and waits for the head of the response. The connection remains open, even after a rejection.
    pub async fn connect(host: &TestHost) -> Self {
        let mut socket = TcpStream::connect(host.admin.unwrap()).await.unwrap();
        let request = format!("GET /v1/events HTTP/1.1\r\nHost: localhost\r\n{BEARER}\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        let read = async {
            while !head.ends_with(b"\r\n\r\n") {
                head.push(socket.read_u8().await.unwrap());
            }
        };
        within("the head of a response", read).await;
        Self { head: String::from_utf8(head).unwrap(), socket }
    }

    fn status(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }
}

/// The clients that are rejected keep their connections open as well.
#[tokio::test]
async fn a_rollback_finds_a_place_beside_any_number_of_followers() {
    let host = TestHost::fixture("answers", &[]).await;
    let before = serving(&host).await;
    let module = push(&host, &fixture("remembers"), "").await;
    promoted(&host, &module).await;
    let mut followers = Vec::new();
    for number in 0..50 {
        let follower = Follower::connect(&host).await;
        let expected = if number < PLACES { "200" } else { "503" };
        assert_eq!(follower.status(), expected, "{number}: {}", follower.head);
        assert_eq!(follower.head.contains("\r\nretry-after: 5\r\n"), expected == "503", "{}", follower.head);
        followers.push(follower);
    }
    let began = std::time::Instant::now();
    let response = ask(&host, "POST", "/v1/rollback", "").await;
    assert_eq!((response.status(), response.json()["module"].as_str()), (200, Some(&*before)));
    assert!(began.elapsed().as_secs() < 2, "{:?}", began.elapsed());

    // A place is free once its follower has left.
    followers.remove(0);
    let free = async { while Follower::connect(&host).await.status() != "200" {} };
    within("a free place", free).await;
}

/// A command that finds no place asks for the state of its module instead.
#[tokio::test]
async fn a_push_without_a_place_gets_its_outcome() {
    let host = TestHost::fixture("answers", &["--smoke", "GET /"]).await;
    let mut followers = Vec::new();
    for _ in 0..PLACES {
        followers.push(Follower::connect(&host).await);
    }
    let ran = module(&host, &["push", &path("remembers")]).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{}", ran.stdout);
    // One that was rolled back before is not taken for the outcome of the next push.
    assert_eq!(ask(&host, "POST", "/v1/rollback", "").await.status(), 200);
    let ran = module(&host, &["push", &path("remembers")]).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{}", ran.stdout);
    let ran = module(&host, &["push", &path("traps")]).await;
    assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stderr.contains(&short(&path("traps"))) && ran.stderr.contains("was refused"),
        "{}",
        ran.stderr
    );
}
