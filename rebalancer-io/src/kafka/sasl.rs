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

/// A sign-in by SCRAM: two messages each way.
pub(super) struct Scram {
    hash: ScramHash,
    password: String,
    nonce: String,
    first: String,
}

/// What the client sends last, and the proof that it then expects of the server.
pub(super) struct LastMessage {
    pub(super) message: String,
    expected: Vec<u8>,
}

impl Scram {
    /// Begins; `nonce` is a random text without commas.
    pub(super) fn new(hash: ScramHash, username: &str, password: &str, nonce: String) -> Self {
        let username = username.replace('=', "=3D").replace(',', "=2C");
        let first = format!("n={username},r={nonce}");
        Self { hash, password: password.to_owned(), nonce, first }
    }

    /// What the client sends first.
    pub(super) fn first_message(&self) -> String {
        format!("n,,{}", self.first)
    }

    /// The answer to the server's first message.
    pub(super) fn last_message(&self, server_first: &str) -> Result<LastMessage, String> {
        let of = |name: &str| server_first.split(',').find_map(|part| part.strip_prefix(name));
        // An extension that must be understood (m=) comes first.
        if !server_first.starts_with("r=") {
            return Err("the broker's message does not begin with a nonce".to_owned());
        }
        let nonce = of("r=").ok_or("the broker's message has no nonce")?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err("the broker's nonce does not continue this one".to_owned());
        }
        let salt =
            of("s=").and_then(|salt| STANDARD.decode(salt).ok()).ok_or("the broker's salt is no base64")?;
        let rounds: u32 = of("i=").and_then(|rounds| rounds.parse().ok()).unwrap_or_default();
        let rounds =
            NonZeroU32::new(rounds).filter(|rounds| (FEWEST_ROUNDS..=MOST_ROUNDS).contains(&rounds.get()));
        let rounds = rounds.ok_or("the broker asks for too few or too many rounds")?;
        let unproved = format!("c=biws,r={nonce}");
        let message = format!("{},{server_first},{unproved}", self.first);
        let (proof, expected) = self.proofs(&salt, rounds, message.as_bytes());
        Ok(LastMessage { message: format!("{unproved},p={}", STANDARD.encode(proof)), expected })
    }

    /// The client's proof, and the server's.
    fn proofs(&self, salt: &[u8], rounds: NonZeroU32, message: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let (derive, algorithm, hash) = match self.hash {
            ScramHash::Sha256 => (pbkdf2::PBKDF2_HMAC_SHA256, hmac::HMAC_SHA256, &digest::SHA256),
            ScramHash::Sha512 => (pbkdf2::PBKDF2_HMAC_SHA512, hmac::HMAC_SHA512, &digest::SHA512),
        };
        let mut salted = vec![0; hash.output_len()];
        pbkdf2::derive(derive, rounds, salt, self.password.as_bytes(), &mut salted);
        let signed = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(algorithm, key), text);
        let client_key = signed(&salted, b"Client Key");
        let stored = digest::digest(hash, client_key.as_ref());
        let signature = signed(stored.as_ref(), message);
        let proof =
            client_key.as_ref().iter().zip(signature.as_ref()).map(|(key, sign)| key ^ sign).collect();
        let server_key = signed(&salted, b"Server Key");
        (proof, signed(server_key.as_ref(), message).as_ref().to_vec())
    }
}

impl LastMessage {
    /// Checks that the server knows the password too.
    pub(super) fn check(&self, server_last: &str) -> Result<(), String> {
        let proof = server_last.split(',').find_map(|part| part.strip_prefix("v="));
        match proof.and_then(|proof| STANDARD.decode(proof).ok()) {
            Some(proof) if proof == self.expected => Ok(()),
            _ => Err("the broker does not prove that it knows the password".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677.
    #[test]
    fn the_proofs_are_those_of_the_standard() {
        let scram = Scram::new(ScramHash::Sha256, "user", "pencil", "rOprNGfwEbeRWgbNEkqO".to_owned());
        assert_eq!(scram.first_message(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let first = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let last = scram.last_message(first).expect("the broker's message is right");
        assert_eq!(
            last.message,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert_eq!(last.check("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(()));
        assert!(last.check("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=").is_err());
        assert!(last.check("e=invalid-proof").is_err());
    }

    #[test]
    fn a_message_that_weakens_the_proof_is_refused() {
        let scram = Scram::new(ScramHash::Sha512, "a,b=c", "pencil", "abc".to_owned());
        assert_eq!(scram.first_message(), "n,,n=a=2Cb=3Dc,r=abc");
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
            assert!(scram.last_message(first).is_err(), "{first}");
        }
        assert!(scram.last_message("r=abcd,s=AAAA,i=4096").is_ok());
    }
}
