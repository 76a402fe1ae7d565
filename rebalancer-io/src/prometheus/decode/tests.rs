//! The decoder against hand-written answers: every key order, damaged ones, and bombs.

use std::io::{self, Read};

use super::super::error::ErrorKind;
use super::answer::{Point, Sample, Samples, Wanted};
use super::decoder::{instant, range};

const WANTED: Wanted<'_> = Wanted { pod_label: "pod", namespace: Some("shop"), max_bytes: 64 << 20 };

const TWO: &str = r#"{"status":"success","data":{"resultType":"vector","result":[
    {"metric":{"namespace":"shop","pod":"a"},"value":[1795410000,"0.5"]},
    {"metric":{"namespace":"shop","pod":"b"},"value":[1795410000.619,"NaN"]}]}}"#;

fn decode(text: &str) -> Result<Samples, ErrorKind> {
    instant(text.as_bytes(), &WANTED)
}

/// A vector of one element.
fn one(element: &str) -> String {
    format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{element}]}}}}"#)
}

fn value_of(value: &str) -> Result<f64, ErrorKind> {
    decode(&one(&format!(r#"{{"metric":{{"pod":"a"}},"value":[1,{value}]}}"#)))
        .map(|answer| answer.get(0).expect("one sample").value)
}

#[test]
fn reads_pods_values_and_times() {
    let answer = decode(TWO).expect("a good answer");
    let (first, second) = (answer.get(0), answer.get(1).expect("two samples"));
    assert_eq!(first, Some(Sample { pod: "a", value: 0.5, timestamp_ms: 1_795_410_000_000 }));
    assert_eq!(second.timestamp_ms, 1_795_410_000_619);
    assert!(second.value.is_nan());
    assert_eq!(answer.get(2), None);
    assert_eq!(answer.iter().map(|sample| sample.timestamp_ms).max(), Some(1_795_410_000_619));
}

#[test]
fn values_are_parsed_as_rust_parses_them() {
    let digits = "1".to_owned() + &"0".repeat(308);
    for text in
        ["0", "-0", "+Inf", "-Inf", "NaN", "1e+21", "5e-324", "1.7976931348623157e+308", "-1", &digits]
    {
        let parsed = value_of(&format!("{text:?}")).expect(text);
        let expected: f64 = text.parse().expect(text);
        assert_eq!(parsed.to_bits(), expected.to_bits(), "{text}");
    }
    assert_eq!(value_of("1.5"), Ok(1.5), "a number in place of a string");
    assert_eq!(value_of("-3"), Ok(-3.0));
    assert_eq!(value_of(r#""\u0031.5""#), Ok(1.5), "escapes");
    for bad in [r#""""#, r#""abc""#, r#"" 1""#, "null", "[1]", "true"] {
        assert!(matches!(value_of(bad), Err(ErrorKind::NotAnAnswer { .. })), "{bad}");
    }
}

#[test]
fn keys_come_in_any_order_among_unknown_ones() {
    let text = r#" { "x":{"y":[1,{"z":null}]}, "infos":["might not be a counter"],
        "data":{"stats":{"a":true},"result":[{"value":[1,"2"],"group":0,"metric":{"job":"x","pod":"a\"\u00e9"}}],
        "resultType":"vector"}, "warnings":null, "isPartial":false, "status":"success" } "#;
    let answer = decode(text).expect("a good answer");
    assert!(answer.iter().eq([Sample { pod: "a\"é", value: 2.0, timestamp_ms: 1000 }]));
}

/// An answer without samples, with these warnings.
fn warned(warnings: &str, more: &str) -> Result<Samples, ErrorKind> {
    let data = r#""data":{"resultType":"vector","result":[]}"#;
    decode(&format!(r#"{{"status":"success",{data},"warnings":[{warnings}]{more}}}"#))
}

/// As Prometheus 2.48 to 2.53 and Thanos write them.
#[test]
fn notes_among_the_warnings_are_notes() {
    let note = r#""PromQL info: metric might not be a counter, name does not end in _total: \"a\" (1:6)""#;
    warned(note, r#","infos":["another"]"#).expect("a note says nothing of the data");
    let of_the_query = r#""PromQL warning: bucket label le is missing (1:6)""#;
    let said = warned(&format!("{note}, {of_the_query}"), "").expect_err("a warning").to_string();
    assert_eq!(said, "the server warns of the query: PromQL warning: bucket label le is missing (1:6)");

    for (warnings, more) in [
        (note.to_owned(), r#","isPartial":true"#),
        (format!("{note}, \"No StoreAPIs matched for this query\""), ""),
        (format!("{of_the_query}, \"store a is down\""), ""),
        ("\"a PromQL info: within\"".to_owned(), ""),
        ("\"\"".to_owned(), ""),
    ] {
        let kind = warned(&warnings, more).expect_err("it is partial");
        assert!(matches!(kind, ErrorKind::PartialData { .. }), "{warnings} {more}: {kind}");
    }
}

#[test]
fn a_null_result_is_empty() {
    for result in ["null", "[]"] {
        let text = format!(r#"{{"status":"success","data":{{"resultType":"vector","result":{result}}}}}"#);
        assert_eq!(decode(&text), Ok(Samples::default()));
    }
}

#[test]
fn series_of_other_namespaces_and_without_pod_are_left_out() {
    let text = one(r#"{"metric":{"namespace":"shop","pod":"a"},"value":[1,"1"]},
        {"metric":{"namespace":"batch","pod":"a"},"value":[1,"2"]},
        {"metric":{"pod":"b"},"value":[1,"3"]}, {"metric":{"pod":""},"value":[1,"4"]}, {"metric":{},"value":[1,"5"]}"#);
    let answer = decode(&text).expect("a good answer");
    assert!(answer.pods().eq(["a", "b"]));
}

#[test]
fn the_pod_label_is_a_setting() {
    let text = one(r#"{"metric":{"k8s_pod_name":"a","pod":"exporter"},"value":[1,"1"]}"#);
    let answer =
        instant(text.as_bytes(), &Wanted { pod_label: "k8s_pod_name", ..WANTED }).expect("a good answer");
    assert!(answer.pods().eq(["a"]));
}

#[test]
fn a_pod_twice_is_an_error() {
    let text =
        one(r#"{"metric":{"pod":"a","cluster":"x"},"value":[1,"1"]},{"metric":{"pod":"b"},"value":[1,"1"]},
        {"metric":{"pod":"a","cluster":"y"},"value":[1,"1"]}"#);
    assert_eq!(decode(&text), Err(ErrorKind::DuplicatePod { pods: 1, pod: "a".into() }));
    let text = text.replace(r#""a""#, r#""a\u001b[2J""#);
    let told = decode(&text).expect_err("the same in odd letters").to_string();
    assert_eq!(told, r"duplicate series for pod a\u{1b}[2J");
}

#[test]
fn what_the_server_says_is_wrong_is_said() {
    let cases = [
        (r#"{"status":"error","errorType":"timeout","error":"slow"}"#, "the server answered timeout: slow"),
        (r#"{"status":"fail"}"#, "the server answered fail: (an empty body)"),
        (
            r#"{"status":"success","isPartial":true,"data":{"resultType":"vector","result":[]}}"#,
            "the answer is partial: isPartial",
        ),
        (
            r#"{"status":"success","warnings":["a","b"],"data":{"resultType":"vector","result":[]}}"#,
            "the answer is partial: a; b",
        ),
        (
            r#"{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}"#,
            "the query returns a scalar, not a vector",
        ),
        (
            r#"{"status":"success","data":{"resultType":"cube","result":{"a":[[1]]}}}"#,
            "the query returns a cube, not a vector",
        ),
        ("", "the answer is not JSON but : (an empty body)"),
        ("<title>Sign in</title>", "the answer is not JSON but : Sign in"),
    ];
    for (text, expected) in cases {
        assert_eq!(decode(text).expect_err(text).to_string(), expected, "{text}");
    }
}

#[test]
fn json_that_is_no_answer_is_told_from_broken_json() {
    let not_answers = [
        "{}",
        r#"{"status":"success"}"#,
        r#"{"status":"success","data":null}"#,
        r#"{"status":"success","data":[]}"#,
        r#"{"status":"success","data":{}}"#,
        r#"{"status":"success","data":{"resultType":"vector"}}"#,
        r#"{"status":"success","data":{"result":[]}}"#,
        r#"{"status":"success","status":"error","data":{"resultType":"vector","result":[]}}"#,
        r#"{"status":1}"#,
    ];
    for text in not_answers {
        assert!(matches!(decode(text), Err(ErrorKind::NotAnAnswer { .. })), "{text}: {:?}", decode(text));
    }
    for element in [
        r#"{"metric":{"pod":"a"}}"#,
        r#"{"value":[1,"1"]}"#,
        "1",
        "null",
        r#"{"metric":{"pod":1},"value":[1,"1"]}"#,
        r#"{"metric":{"pod":"a"},"value":[1]}"#,
    ] {
        let error = decode(&one(element)).expect_err(element);
        assert!(matches!(error, ErrorKind::NotAnAnswer { .. }), "{element}: {error:?}");
    }
    for text in [
        "{]",
        r#"{"status" "success"}"#,
        r#"{"status":"a\qb"}"#,
        &format!("{TWO}x"),
        r#"{"a":01}"#,
        "{\"a\":\"\u{1}\"}",
    ] {
        assert!(matches!(decode(text), Err(ErrorKind::Malformed { .. })), "{text}: {:?}", decode(text));
    }
}

#[test]
fn a_malformed_answer_is_quoted_where_it_breaks() {
    let text = TWO.replace(r#""0.5""#, r#""0.5"~"#);
    let ErrorKind::Malformed { at, excerpt, .. } = decode(&text).expect_err("broken") else {
        panic!("not malformed");
    };
    let broken = text.find('~').expect("it is there") as u64;
    assert!(at.abs_diff(broken) <= 1, "{at} is not {broken}");
    assert!(excerpt.contains('~'), "{excerpt}");
}

#[test]
fn every_truncation_is_an_error_that_says_so() {
    for length in 1..TWO.len() {
        let error = decode(&TWO[..length]).expect_err("a part of an answer");
        assert_eq!(error, ErrorKind::Truncated { bytes: length as u64 }, "{length}");
    }
}

/// Returns its bytes in pieces of a given size.
pub(super) struct Pieces<'a>(pub &'a [u8], pub usize);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.1.min(self.0.len()).min(buffer.len());
        buffer[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

#[test]
fn the_size_of_reads_changes_nothing() {
    let text = TWO.replace("\"a\"", "\"zażółć-😀\"");
    let expected = decode(&text).expect("a good answer");
    for size in 1..20 {
        let answer = instant(Pieces(text.as_bytes(), size), &WANTED).expect("a good answer");
        assert_eq!(answer.get(0), expected.get(0), "{size}");
    }
}

#[test]
fn bytes_that_are_no_text_are_an_error_at_their_place() {
    for bad in [&b"\xff"[..], b"\xc0\x80", b"\xed\xa0\x80", b"\xe2\x82"] {
        let mut bytes = TWO.replace("\"job\"", "").into_bytes();
        let place = TWO.find("shop").expect("it is there");
        bytes.splice(place..place, bad.iter().copied());
        for size in [1, 7, 1 << 20] {
            assert_eq!(
                instant(Pieces(&bytes, size), &WANTED),
                Err(ErrorKind::NotUtf8 { at: place as u64 }),
                "{bad:?}"
            );
        }
    }
    let open = b"{\"status\":\"\xe2\x82";
    assert_eq!(instant(&open[..], &WANTED), Err(ErrorKind::NotUtf8 { at: 11 }), "cut within a character");
}

#[test]
fn bombs_end_in_an_error() {
    let deep = "[".repeat(100_000);
    for text in [one(&deep), format!(r#"{{"x":{deep}{}}}"#, "]".repeat(100_000)), r#"{"a":"#.repeat(100_000)]
    {
        let error = decode(&text).expect_err("too deep");
        let is_told = matches!(
            error,
            ErrorKind::Malformed { .. } | ErrorKind::NotAnAnswer { .. } | ErrorKind::Truncated { .. }
        );
        assert!(is_told, "{error:?}");
    }
    let small = Wanted { max_bytes: 1 << 20, ..WANTED };
    let too_large = Err(ErrorKind::TooLarge { max_bytes: 1 << 20 });
    let endless = |head: &'static str, byte: u8| instant(head.as_bytes().chain(io::repeat(byte)), &small);
    assert_eq!(endless(r#"{"status":""#, b'a'), too_large, "an endless string");
    assert_eq!(endless("", b' '), too_large, "endless white space");
    assert_eq!(endless(r#"{"x":1"#, b'0'), too_large, "an endless number");
    let head = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"pod":""#;
    let string = head.as_bytes().chain(io::repeat(b'p').take(100 << 20)).chain(&b"\"}}]}}"[..]);
    let long = Err(ErrorKind::LongString { max_bytes: 1 << 20 });
    assert_eq!(instant(string, &WANTED), long, "a string of 100 MB");
    let exactly = Wanted { max_bytes: TWO.len() as u64, ..WANTED };
    assert!(instant(TWO.as_bytes(), &exactly).is_ok(), "the limit itself is allowed");
    assert!(instant(TWO.as_bytes(), &Wanted { max_bytes: exactly.max_bytes - 1, ..exactly }).is_err());
}

/// Memory is counted while it is used, even if the text is only a few bytes.
#[test]
fn what_is_kept_is_bounded() {
    let list = |unit: &str, count: usize| vec![unit; count].join(",");
    let wanted = Wanted { max_bytes: 8 << 20, ..WANTED };
    let too_much = ErrorKind::TooMuch { max_bytes: 4 << 20 };
    let spaced = one(&list(r#"{"metric":{"pod": "a"},"value":[1,"1"]}"#, 150_000));
    assert_eq!(instant(spaced.as_bytes(), &wanted).expect_err("150,000 objects"), too_much);
    let compact: Vec<String> =
        (0..150_000).map(|pod| format!(r#"{{"metric":{{"pod":"{pod}"}},"value":[1,"1"]}}"#)).collect();
    assert_eq!(instant(one(&compact.join(",")).as_bytes(), &wanted).expect_err("150,000 samples"), too_much);
    let few = one(&compact[..100_000].join(","));
    assert_eq!(instant(few.as_bytes(), &wanted).expect("they fit").len(), 100_000);
    let matrix = |result: String| {
        format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{result}]}}}}"#)
    };
    let row = |count: usize| {
        matrix(format!(r#"{{"metric":{{"pod":"a"}},"values":[{}]}}"#, list(r#"[0,"0"]"#, count)))
    };
    assert!(range(row(100_000).as_bytes(), &wanted).is_ok(), "as many as a series may have");
    let error = range(row(100_001).as_bytes(), &wanted).expect_err("one more");
    assert!(error.to_string().contains("a list of at most 100000 samples"), "{error}");
    let rows = matrix(list(r#"{"metric":{"pod":"a"},"values":[[0,"0"]]}"#, 50_000));
    assert_eq!(range(rows.as_bytes(), &wanted).expect_err("50,000 rows"), too_much);
    let note = r#""PromQL info: x""#;
    let told = |count: usize| TWO.replacen('{', &format!(r#"{{"warnings":[{}],"#, list(note, count)), 1);
    assert!(instant(told(1000).as_bytes(), &wanted).is_ok());
    assert!(instant(told(1001).as_bytes(), &wanted).is_err(), "remarks without end");
}

#[test]
fn a_matrix_keeps_its_points_in_order() {
    let text = r#"{"status":"success","data":{"resultType":"matrix","result":[
        {"metric":{"pod":"a"},"values":[[1,"1"],[2.5,"-1"]]},{"metric":{"pod":"b"},"values":[]}]}}"#;
    let answer = range(text.as_bytes(), &WANTED).expect("a good answer");
    let points = [Point { timestamp_ms: 1000, value: 1.0 }, Point { timestamp_ms: 2500, value: -1.0 }];
    assert_eq!(answer[0].points, points);
    assert_eq!(answer.len(), 2);
    let vector = range(TWO.as_bytes(), &WANTED);
    assert_eq!(vector, Err(ErrorKind::WrongType { found: "vector".into(), wanted: "matrix" }));
}

#[test]
fn native_histograms_are_refused_unless_they_are_left_out_anyway() {
    let text =
        one(r#"{"metric":{"pod":"a"},"value":[1,"1"]},{"metric":{"pod":"b"},"histogram":[1,{"count":"1"}]}"#);
    assert_eq!(decode(&text), Err(ErrorKind::Histogram { pod: "b".into() }));
    let long = decode(&text.replace(r#""b""#, &format!("{:?}", "b".repeat(5_000)))).expect_err("a histogram");
    assert!(long.to_string().len() < 300, "{long}");
    let other = text.replace(r#""pod":"b""#, r#""pod":"b","namespace":"batch""#);
    assert!(decode(&other).is_ok());
}
