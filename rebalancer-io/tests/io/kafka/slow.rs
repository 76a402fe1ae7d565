//! Brokers that take their time.

use super::*;

#[test]
fn a_server_that_sends_byte_by_byte_is_not_waited_for_longer_than_others() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
    let address = listener.local_addr().expect("an address").to_string();
    thread::spawn(move || {
        use std::io::Write as _;
        let (mut socket, _) = listener.accept().expect("a connection");
        // A megabyte is announced.
        let mut bytes = vec![0, 16, 0, 0];
        while socket.write_all(&bytes).is_ok() {
            bytes = vec![0];
            thread::sleep(Duration::from_millis(20));
        }
    });
    let deadline = Instant::now().checked_add(Duration::from_secs(1));
    let mut client = client_of(&[address], None, Patience { deadline, stop: Arc::default() });
    let begun = Instant::now();
    let error = client.group("orders").expect_err("no answer in time");
    assert!(matches!(error.kind, KafkaErrorKind::Stopped), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}
