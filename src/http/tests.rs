use super::*;
use crate::status::{Phase, StatusView};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn get_text(addr: SocketAddr, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn answers_and_ends_when_told() {
    let shared = Shared::new("lab", "host:1");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let shutdown = async move {
        let _ = stopped.await;
    };
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let (addr, task) = serve(any, Arc::clone(&shared), shutdown).await.unwrap();
    assert!(get_text(addr, "/healthz").await.starts_with("HTTP/1.1 200"));
    let answer = get_text(addr, "/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.ends_with("not ready: starting\n"), "{answer}");
    shared.update(|view| view.phase = Phase::Streaming);
    assert!(get_text(addr, "/readyz").await.starts_with("HTTP/1.1 200"));
    assert!(get_text(addr, "/metrics").await.contains("sirenia_phase{phase=\"streaming\"} 1"));
    let answer = get_text(addr, "/status").await;
    let view: StatusView = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!((view.pipeline.as_str(), view.phase), ("lab", Phase::Streaming));
    assert!(get_text(addr, "/").await.contains("<h1>Sirenia"));
    assert!(get_text(addr, "/nowhere").await.starts_with("HTTP/1.1 404"));

    let taken = serve(addr, Arc::clone(&shared), std::future::pending()).await.unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::Io);
    assert!(taken.hint().is_some_and(|hint| hint.contains("--http-listen 127.0.0.1:0")));

    // a client that never finishes its request does not hold up the end
    let mut slow = tokio::net::TcpStream::connect(addr).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    drop(stop);
    tokio::time::timeout(DRAIN * 3, task).await.unwrap().unwrap();
}
