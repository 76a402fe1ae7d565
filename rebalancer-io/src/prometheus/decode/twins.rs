//! The scanner against the visitors alone: the same answer or error for the same bytes, however they arrive.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use proptest::prelude::*;
use serde_json::Value;

use super::super::error::ErrorKind;
use super::answer::{Samples, Wanted};
use super::decoder::{instant, instant_visited};
use super::scan::Scanner;
use super::tests::Pieces;
use super::window::Window;

const WANTED: [Wanted<'_>; 2] = [
    Wanted { pod_label: "pod", namespace: None, max_bytes: 64 << 20 },
    Wanted { pod_label: "pod", namespace: Some("streams"), max_bytes: 64 << 20 },
];

const COMPACT: &str = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"namespace":"streams","pod":"orders-0"},"value":[1795410000.619,"0.13338699743739352"]},{"metric":{"namespace":"streams","pod":"zażółć-😀"},"value":[1795410000.619,"NaN"]},{"metric":{"container":"app","namespace":"batch","pod":"orders-2","service":"kubelet"},"value":[1795410001,"-Inf"]},{"metric":{"pod":"orders-1"},"value":[1795410001,"17976931348623157081452742373170435679807056752584499659891747680315726"]}]}}"#;

const VICTORIA: &str = r#"{"status":"success","isPartial":false,"data":{"resultType":"vector","result":[{"metric":{"namespace":"streams","pod":"a"},"value":[1795410000,"0.5"]},{"metric":{"pod":"b"},"value":[1795410000,"1e-7"]}]},"stats":{"seriesFetched": "2"}}"#;

/// The result of either way. `Debug` distinguishes NaN from nothing, and -0 from 0.
fn told(result: &Result<Samples, ErrorKind>) -> String {
    format!("{result:?}")
}

fn agree(bytes: &[u8], piece: usize, wanted: &Wanted<'_>) -> Result<(), TestCaseError> {
    let scanned = told(&instant(Pieces(bytes, piece), wanted));
    let visited = told(&instant_visited(bytes, wanted));
    prop_assert_eq!(scanned, visited, "in pieces of {}: {}", piece, String::from_utf8_lossy(bytes));
    Ok(())
}

/// Four series that share labels and time; all but the first are read by the template of the previous one.
fn alike(number: &str) -> String {
    let series = |pod: u32| {
        format!(
            r#"{{"metric":{{"namespace":"streams","pod":"orders-{pod}"}},"value":[1795410000,"{number}"]}}"#
        )
    };
    let list = (0..4).map(series).collect::<Vec<String>>().join(",");
    format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{list}]}}}}"#)
}

/// The number of series that the scanner reads from an answer.
fn taken(bytes: &[u8]) -> usize {
    let mut window = Window::new(bytes, u64::MAX);
    let mut each = |_: &str, _| ();
    let mut scanner = Scanner::new(&WANTED[0], &mut each);
    scanner.scan(&mut window);
    scanner.counts.series
}

#[test]
fn every_split_of_an_answer_is_the_same() {
    for text in [COMPACT, VICTORIA] {
        let bytes = text.as_bytes();
        assert!(instant(bytes, &WANTED[0]).is_ok(), "what is damaged here is whole");
        let whole = told(&instant_visited(bytes, &WANTED[0]));
        for split in 0..=bytes.len() {
            let halves = bytes[..split].chain(&bytes[split..]);
            assert_eq!(told(&instant(halves, &WANTED[0])), whole, "{split}");
        }
        for piece in 1..100 {
            agree(bytes, piece, &WANTED[1]).expect("the same");
        }
    }
}

#[test]
fn every_cut_and_every_changed_byte_is_the_same() {
    for text in [COMPACT, VICTORIA] {
        let mut bytes = text.as_bytes().to_vec();
        for at in 0..bytes.len() {
            agree(&bytes[..at], usize::MAX, &WANTED[0]).expect("the same");
            let own = bytes[at];
            for other in [b'"', b'\\', b' ', b',', b'}', b']', b'0', b'x', b'\n', 0x7f, 0x80, 0xff] {
                bytes[at] = other;
                agree(&bytes, usize::MAX, &WANTED[0]).expect("the same");
            }
            bytes[at] = own;
            let small = Wanted { max_bytes: at as u64, ..WANTED[0] };
            agree(&bytes, 7, &small).expect("the same");
        }
    }
}

#[test]
fn what_servers_write_is_taken_whole_and_read_the_same() {
    let mut series = 0;
    for path in recorded() {
        let shown = path.display();
        let bytes = read(&path);
        for (wanted, piece) in WANTED.iter().zip([usize::MAX, 1337]) {
            agree(&bytes, piece, wanted).unwrap_or_else(|error| panic!("{shown}: {error}"));
        }
        if instant(&bytes[..], &WANTED[0]).is_ok() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let answer: Value = serde_json::from_slice(&bytes).expect("an answer is JSON");
            let all = answer["data"]["result"].as_array().map_or(0, Vec::len);
            series += all;
            if name.starts_with("instant_") {
                assert_eq!(taken(&bytes), all, "{shown}: the scanner stops early");
            }
        }
    }
    assert!(series > 10_000, "only {series} series");
}

#[test]
fn times_of_every_precision_are_read_the_same() {
    for time in [
        "0",
        "1",
        "1.5",
        "1795410000.06",
        "1795410000.999",
        "9999999999.001",
        "00",
        "1.",
        "1.0005",
        "-1",
        "1e3",
    ] {
        agree(COMPACT.replace("1795410000.619", time).as_bytes(), usize::MAX, &WANTED[0]).expect("the same");
    }
}

#[test]
fn a_series_larger_than_the_window_is_left_to_the_visitors() {
    let large = COMPACT.replace("kubelet", &"k".repeat(200_000));
    assert_eq!(taken(large.as_bytes()), 2);
    agree(large.as_bytes(), 4096, &WANTED[0]).expect("the same");
    assert_eq!(taken(COMPACT.as_bytes()), 4);
}

#[test]
fn failures_of_the_body_come_at_their_place() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::ConnectionReset.into())
        }
    }
    for cut in 0..COMPACT.len() {
        let bytes = &COMPACT.as_bytes()[..cut];
        let scanned = instant(bytes.chain(Broken), &WANTED[0]);
        assert_eq!(told(&scanned), told(&instant_visited(bytes.chain(Broken), &WANTED[0])), "{cut}");
        assert!(scanned.is_err(), "{cut}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn numbers_are_read_as_the_visitors_read_them(bits: u64, digits in "-?[0-9]{1,25}(\\.[0-9]{0,30})?(e[+-]?[0-9]{1,3})?", seconds in 0u64..1 << 34, fraction in "(\\.[0-9]{0,5})?") {
        for number in [f64::from_bits(bits).to_string(), format!("{:e}", f64::from_bits(bits)), digits] {
            let text = COMPACT.replace("0.13338699743739352", &number).replace("1795410000.619", &format!("{seconds}{fraction}"));
            agree(text.as_bytes(), usize::MAX, &WANTED[0])?;
        }
    }

    #[test]
    fn a_number_after_a_series_alike_is_that_of_the_standard_library(
        bits: u64,
        digits in "[-+]?[0-9]{0,25}\\.?[0-9]{0,30}([eE][-+]?[0-9]{0,4})?",
        word in "[-+]?(inf|Inf|INFINITY|infinity|infinit|nan|NaN|nanx|0x10|1_0|1 |,5|)",
    ) {
        let exact = f64::from_bits(bits);
        for number in [exact.to_string(), format!("{exact:e}"), format!("{exact:.17e}"), digits, word] {
            let text = alike(&number);
            agree(text.as_bytes(), usize::MAX, &WANTED[0])?;
            let answer = instant(text.as_bytes(), &WANTED[0]);
            match number.parse::<f64>() {
                Ok(value) => {
                    let found: Vec<u64> = answer.expect("a number").iter().map(|sample| sample.value.to_bits()).collect();
                    prop_assert_eq!(found, [value.to_bits(); 4], "{}", number);
                }
                Err(_) => prop_assert!(answer.is_err(), "{}", number),
            }
        }
    }

    #[test]
    fn damaged_answers_are_read_the_same(
        victoria: bool,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0usize..30, 0u8..4), 1..4),
        piece in 1usize..400,
    ) {
        let mut bytes = if victoria { VICTORIA } else { COMPACT }.as_bytes().to_vec();
        for (at, from, length, kind) in damage {
            let (at, from) = (at.index(bytes.len() + 1), from.index(bytes.len() + 1));
            let part = bytes[from..bytes.len().min(from + length)].to_vec();
            let end = bytes.len().min(at + length);
            match kind {
                0 => drop(bytes.splice(at..end, part)),
                1 => drop(bytes.splice(at..at, part)),
                2 => drop(bytes.drain(at..end)),
                _ => drop(bytes.splice(at..at, [b' '])),
            }
        }
        agree(&bytes, piece, &WANTED[usize::from(victoria)])?;
    }

    #[test]
    fn any_bytes_are_read_the_same(bytes in prop::collection::vec(any::<u8>(), 0..200), inside: bool) {
        let bytes = if inside { [&COMPACT.as_bytes()[..60], &bytes].concat() } else { bytes };
        agree(&bytes, 3, &WANTED[0])?;
    }
}

/// Every recorded answer.
fn recorded() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/prometheus");
    let folders = root.read_dir().expect("a folder").map(|entry| entry.expect("an entry").path());
    let files = folders.filter(|path| path.is_dir()).flat_map(|folder| folder.read_dir().expect("a folder"));
    files.map(|entry| entry.expect("an entry").path()).collect()
}

fn read(path: &Path) -> Vec<u8> {
    let file = BufReader::new(File::open(path).expect("a file"));
    let mut bytes: Vec<u8> = Vec::new();
    let mut reader: Box<dyn Read> = match path.extension() {
        Some(extension) if extension == "gz" => Box::new(MultiGzDecoder::new(file)),
        _ => Box::new(file),
    };
    reader.read_to_end(&mut bytes).expect("a whole file");
    bytes
}
