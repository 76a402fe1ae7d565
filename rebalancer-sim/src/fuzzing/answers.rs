//! Answers of the shape that servers write, and damaged ones: the fast road of the decoder reads
//! what its general road reads, in whatever two pieces the bytes arrive.

use std::fmt::Write as _;
use std::io::Read;
use std::mem::discriminant;

use arbitrary::{Result, Unstructured};
use rebalancer_io::prometheus::{ErrorKind, Samples, Wanted, decode_instant};

/// Most series of one answer.
const MAX_SERIES: usize = 40;

/// Most damages to one answer.
const MAX_DAMAGES: usize = 4;

/// Longest answer that is cut in two at every byte.
const MAX_SPLIT: usize = 400;

const WANTED: [Wanted<'_>; 2] = [
    Wanted { pod_label: "pod", namespace: None, max_bytes: 1 << 20 },
    Wanted { pod_label: "pod", namespace: Some("shop"), max_bytes: 1 << 20 },
];

const HEADS: [&str; 4] = [
    r#"{"status":"success","data":{"resultType":"vector","result":["#,
    r#"{"status":"success","isPartial":false,"data":{"resultType":"vector","result":["#,
    r#"{"status":"success","data":{"result":["#,
    r#"{"status": "success","data":{"resultType":"vector","result":["#,
];

const TAILS: [&str; 5] =
    ["]}}", r#"]},"stats":{"seriesFetched":"2"}}"#, r#"],"resultType":"vector"}}"#, "]}", "]}} "];

const KEYS: [&str; 6] = ["pod", "namespace", "id", "container", "pod ", ""];

const VALUES: [&str; 8] = [
    "shop",
    "orders-0",
    "orders-1",
    "orders-consumer-7d9f8b6c5-x2x7q",
    "",
    r"orders-\u0030",
    "é",
    "a value that is longer than every step in which the decoder looks for quotes, which is 128 bytes long \
     and then some more of them",
];

const NUMBERS: [&str; 10] = [
    "1",
    "0.7019674696694693",
    "-1",
    "NaN",
    "+Inf",
    "1e-7",
    "x",
    "",
    "4979",
    "123456789012345678901234567890",
];

const TIMES: [&str; 5] = ["1795410000", "1795410000.25", "1795410000.1234", "01", "1.79541e9"];

/// Reads an answer made of `data` by both roads.
///
/// # Panics
/// When they find different samples, or one of them refuses what the other takes.
pub fn answers(data: &[u8]) {
    let Ok(body) = answer(&mut Unstructured::new(data)) else { return };
    for wanted in &WANTED {
        let fast = decode_instant(body.as_slice(), wanted);
        // White space behind the brace is a surprise to the fast road, and means nothing.
        let rest = body.get(1..).unwrap_or_default();
        let general = decode_instant(b"{ ".chain(rest), wanted);
        if body.first() == Some(&b'{') {
            assert!(alike(&fast, &general), "{}\n{fast:?}\n{general:?}", String::from_utf8_lossy(&body));
        }
    }
}

/// Reads an answer made of `data`, or `data` itself, cut in two at every byte.
///
/// # Panics
/// When a cut changes what is found.
pub fn splits(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let made = input.ratio(2, 3).unwrap_or(false);
    let body = if made { answer(&mut input).unwrap_or_default() } else { input.take_rest().to_vec() };
    let body = &body[..body.len().min(MAX_SPLIT)];
    for wanted in &WANTED {
        let whole = told(&decode_instant(body, wanted));
        for cut in 0..=body.len() {
            let (start, end) = body.split_at(cut);
            assert_eq!(told(&decode_instant(start.chain(end), wanted)), whole, "cut at {cut}");
        }
    }
}

/// The same samples, or failures of one kind: their words name places, which white space moves.
fn alike(
    one: &std::result::Result<Samples, ErrorKind>,
    other: &std::result::Result<Samples, ErrorKind>,
) -> bool {
    match (one, other) {
        (Ok(one), Ok(other)) => format!("{one:?}") == format!("{other:?}"),
        (Err(one), Err(other)) => discriminant(one) == discriminant(other),
        _ => false,
    }
}

fn told(result: &std::result::Result<Samples, ErrorKind>) -> String {
    match result {
        Ok(answer) => format!("{answer:?}"),
        Err(error) => error.to_string(),
    }
}

fn answer(input: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut body = String::from(*input.choose(&HEADS)?);
    let tail = *input.choose(&TAILS)?;
    let damages = input.int_in_range(0..=MAX_DAMAGES)?.saturating_sub(1);
    let keys: Vec<&str> =
        (0..input.int_in_range(0..=4_usize)?).map(|_| input.choose(&KEYS).copied()).collect::<Result<_>>()?;
    let places: Vec<(usize, u8)> =
        (0..damages).map(|_| Ok((input.arbitrary()?, input.arbitrary()?))).collect::<Result<_>>()?;
    for number in 0..MAX_SERIES {
        if input.is_empty() {
            break;
        }
        body.push_str(if number == 0 { "" } else { "," });
        series(input, &keys, number, &mut body)?;
    }
    body.push_str(tail);
    let mut body = body.into_bytes();
    for (place, byte) in places {
        damage(&mut body, place, byte);
    }
    Ok(body)
}

/// Most series of an answer have the same labels, and a pod of their own.
fn series(input: &mut Unstructured<'_>, keys: &[&str], number: usize, body: &mut String) -> Result<()> {
    let changed = input.ratio(1, 8)?;
    let other = if changed { vec![*input.choose(&KEYS)?, "pod"] } else { keys.to_vec() };
    body.push_str(r#"{"metric":{"#);
    for (position, key) in other.iter().enumerate() {
        let comma = if position == 0 { "" } else { "," };
        let value = *input.choose(&VALUES)?;
        let own = if *key == "pod" && input.ratio(7, 8)? { number.to_string() } else { String::new() };
        let _ = write!(body, r#"{comma}"{key}":"{value}{own}""#);
    }
    let time = if input.ratio(1, 16)? { *input.choose(&TIMES)? } else { TIMES[0] };
    let value = *input.choose(&NUMBERS)?;
    let _ = write!(body, r#"}},"value":[{time},"{value}"]}}"#);
    Ok(())
}

/// Changes, takes out, doubles or cuts at a place.
fn damage(body: &mut Vec<u8>, place: usize, byte: u8) {
    if body.is_empty() {
        return;
    }
    let place = place % body.len();
    match byte % 5 {
        0 => body[place] = byte,
        1 => drop(body.remove(place)),
        2 => body.insert(place, byte),
        3 => body.truncate(place),
        _ => {
            let end = (place + usize::from(byte)).min(body.len());
            let again = body[place..end].to_vec();
            body.splice(place..place, again);
        }
    }
}
