//! The messages of signing in: PLAIN, OAUTHBEARER, and SCRAM as RFC 5802 has it.

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac, pbkdf2};

use super::config::ScramHash;

/// Rounds that are carried out at most: a hundred times what Kafka takes by default, and less than a second.
const MOST_ROUNDS: u32 = 1_000_000;

/// Rounds below which the proof would give the password away.
const FEWEST_ROUNDS: u32 = 4_096;

/// The one message of PLAIN.
pub(super) fn plain(username: &str, password: &str) -> Vec<u8> {
    format!("\0{username}\0{password}").into_bytes()
}

/// The one message of OAUTHBEARER.
pub(super) fn oauth_bearer(token: &str) -> Vec<u8> {
    format!("n,,\u{1}auth=Bearer {token}\u{1}\u{1}").into_bytes()
}

/// Signs in by SCRAM: two messages each way, which `step` exchanges. `nonce` is a random text without commas. A broker's
/// message that is wrong is told by `failed`.
pub(super) fn scram<E>(
    hash: ScramHash,
    [username, password, nonce]: [&str; 3],
    mut step: impl FnMut(&str) -> Result<String, E>,
    failed: impl Fn(&str) -> E,
) -> Result<(), E> {
    let username = username.replace('=', "=3D").replace(',', "=2C");
    let first = format!("n={username},r={nonce}");
    let server_first = step(&format!("n,,{first}"))?;
    let Challenge { nonce, salt, rounds } = Challenge::read(&server_first, nonce).map_err(&failed)?;
    let unproved = format!("c=biws,r={nonce}");
    let message = format!("{first},{server_first},{unproved}");
    let (proof, expected) = proofs(hash, password, &salt, rounds, message.as_bytes());
    let server_last = step(&format!("{unproved},p={}", STANDARD.encode(proof)))?;
    // The server is to know the password too.
    let proof = server_last.split(',').find_map(|part| part.strip_prefix("v="));
    match proof.and_then(|proof| STANDARD.decode(proof).ok()) {
        Some(proof) if proof == expected => Ok(()),
        _ => Err(failed("the broker does not prove that it knows the password")),
    }
}

/// What the server asks of the proof.
struct Challenge<'m> {
    nonce: &'m str,
    salt: Vec<u8>,
    rounds: NonZeroU32,
}

impl<'m> Challenge<'m> {
    /// Reads the server's first message, whose nonce continues that of the client.
    fn read(message: &'m str, own_nonce: &str) -> Result<Self, &'static str> {
        let of = |name: &str| message.split(',').find_map(|part| part.strip_prefix(name));
        // An extension that must be understood (m=) comes first.
        let nonce = of("r=").filter(|_| message.starts_with("r="));
        let nonce = nonce.ok_or("the broker's message does not begin with a nonce")?;
        if !nonce.starts_with(own_nonce) || nonce.len() == own_nonce.len() {
            return Err("the broker's nonce does not continue this one");
        }
        let salt =
            of("s=").and_then(|salt| STANDARD.decode(salt).ok()).ok_or("the broker's salt is no base64")?;
        let rounds: u32 = of("i=").and_then(|rounds| rounds.parse().ok()).unwrap_or_default();
        let rounds =
            NonZeroU32::new(rounds).filter(|rounds| (FEWEST_ROUNDS..=MOST_ROUNDS).contains(&rounds.get()));
        let rounds = rounds.ok_or("the broker asks for too few or too many rounds")?;
        Ok(Self { nonce, salt, rounds })
    }
}

/// The client's proof, and the server's.
fn proofs(
    hash: ScramHash,
    password: &str,
    salt: &[u8],
    rounds: NonZeroU32,
    message: &[u8],
) -> (Vec<u8>, Vec<u8>) {
    let (derive, algorithm, hash) = match hash {
        ScramHash::Sha256 => (pbkdf2::PBKDF2_HMAC_SHA256, hmac::HMAC_SHA256, &digest::SHA256),
        ScramHash::Sha512 => (pbkdf2::PBKDF2_HMAC_SHA512, hmac::HMAC_SHA512, &digest::SHA512),
    };
    let mut salted = vec![0; hash.output_len()];
    pbkdf2::derive(derive, rounds, salt, password.as_bytes(), &mut salted);
    let signed = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(algorithm, key), text);
    let client_key = signed(&salted, b"Client Key");
    let stored = digest::digest(hash, client_key.as_ref());
    let signature = signed(stored.as_ref(), message);
    let proof = client_key.as_ref().iter().zip(signature.as_ref()).map(|(key, sign)| key ^ sign).collect();
    let server_key = signed(&salted, b"Server Key");
    (proof, signed(server_key.as_ref(), message).as_ref().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Signs in to a server that answers so, and tells what it was sent.
    fn signed_in(hash: ScramHash, who: [&str; 3], answers: [&str; 2]) -> (Result<(), String>, Vec<String>) {
        let (mut sent, mut answers) = (Vec::new(), answers.into_iter());
        let step = |message: &str| {
            sent.push(message.to_owned());
            answers.next().map(str::to_owned).ok_or_else(|| "no third message is sent".to_owned())
        };
        let signed_in = scram(hash, who, step, str::to_owned);
        (signed_in, sent)
    }

    /// The example of RFC 7677.
    #[test]
    fn the_proofs_are_those_of_the_standard() {
        let who = ["user", "pencil", "rOprNGfwEbeRWgbNEkqO"];
        let first = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        for (last, is_right) in [
            ("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", true),
            ("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=", false),
            ("e=invalid-proof", false),
        ] {
            let (signed_in, sent) = signed_in(ScramHash::Sha256, who, [first, last]);
            assert_eq!(signed_in.is_ok(), is_right, "{last}");
            assert_eq!(
                sent,
                [
                    "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
                    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
                ]
            );
        }
    }

    #[test]
    fn a_message_that_weakens_the_proof_is_refused() {
        let sent = |first| signed_in(ScramHash::Sha512, ["a,b=c", "pencil", "abc"], [first, "e=x"]).1;
        for first in [
            "",
            "r=abc,s=AAAA,i=4096",
            "r=xyzabc,s=AAAA,i=4096",
            "m=x,r=abcd,s=AAAA,i=4096",
            "r=abcd,s=?,i=4096",
            "r=abcd,s=AAAA,i=1",
            "r=abcd,s=AAAA,i=4000000000",
            "r=abcd,s=AAAA",
        ] {
            assert_eq!(sent(first), ["n,,n=a=2Cb=3Dc,r=abc"], "{first}");
        }
        assert_eq!(sent("r=abcd,s=AAAA,i=4096").len(), 2);
    }
}
