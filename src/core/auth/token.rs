//! Tokens: signed access tokens (JWT, RFC 7519) and personal access tokens.
//!
//! An access token proves which user logged in. Every use also checks in the cache's directory that
//! the login is still active.

use std::sync::Once;

use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::signature::{self, Signer, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, EncodingKey, Header, TokenData, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::refresh::RefreshKey;

/// Separates the key of cursors from the signatures of access tokens, which use the same secret.
const CURSORS: &[u8] = b"netbit key of cursors, version 1\0";
/// The same for the addresses of objects of Git LFS.
const LFS_LINKS: &[u8] = b"netbit key of lfs links, version 1\0";
const ISSUER: &str = "netbit";
const AUDIENCE: &str = "netbit";
/// Allowed difference between the clocks of two machines.
const LEEWAY_SECONDS: u64 = 30;
/// Ten years: no token that the server made is valid for longer.
const LIFE_SECONDS_MAX: i64 = 10 * 365 * 24 * 3600;
/// The server's tokens are never longer. Longer tokens are refused without being parsed.
const TOKEN_BYTES_MAX: usize = 1024;

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    /// The user's id; a string, as RFC 7519 section 4.1.2 requires.
    sub: String,
    exp: i64,
    iat: i64,
    jti: String,
    /// The login session.
    sid: i64,
    /// The user's token version.
    ver: i64,
    /// The database's epoch: a restored copy rejects the tokens issued before.
    epoch: i64,
}

/// The identity that a valid access token proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    pub user: i64,
    pub login: i64,
    pub token_version: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token is not valid")]
pub struct InvalidToken;

/// Signs and verifies access tokens with one secret and one algorithm.
pub struct TokenKeys {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    epoch: i64,
    refresh: RefreshKey,
    cursors: [u8; 32],
    lfs_links: [u8; 32],
}

impl TokenKeys {
    pub fn new(secret: &[u8], epoch: i64) -> Self {
        install_provider();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        validation.leeway = LEEWAY_SECONDS;
        Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            validation,
            epoch,
            refresh: RefreshKey::new(secret, epoch),
            cursors: derived(secret, CURSORS),
            lfs_links: derived(&derived(secret, LFS_LINKS), &epoch.to_be_bytes()),
        }
    }

    /// Returns the key that seals cursors. It is the same on all nodes of a cluster.
    pub fn cursors(&self) -> &[u8; 32] {
        &self.cursors
    }

    /// Returns the key that signs the links of Git LFS. It is the same on all nodes of a cluster,
    /// and another one after a restore.
    pub fn lfs_links(&self) -> &[u8; 32] {
        &self.lfs_links
    }

    /// Returns the key that derives refresh tokens.
    pub fn refresh(&self) -> &RefreshKey {
        &self.refresh
    }

    /// Signs a token for `identity`, valid from `now` (Unix seconds) for `seconds`.
    pub fn sign(&self, identity: Identity, now: i64, seconds: i64) -> Result<String, InvalidToken> {
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: identity.user.to_string(),
            exp: now + seconds,
            iat: now,
            jti: uuid::Uuid::now_v7().to_string(),
            sid: identity.login,
            ver: identity.token_version,
            epoch: self.epoch,
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
            .map_err(|_| InvalidToken)
    }

    pub fn verify(&self, token: &str) -> Result<Identity, InvalidToken> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(InvalidToken);
        }
        let decoded = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation);
        let TokenData { header, claims, .. } = decoded.map_err(|_| InvalidToken)?;
        // The server's own header names no key and no place to find one.
        if header.kid.is_some() || header.jku.is_some() || header.jwk.is_some() || header.x5u.is_some() {
            return Err(InvalidToken);
        }
        if claims.epoch != self.epoch || claims.exp.saturating_sub(claims.iat) > LIFE_SECONDS_MAX {
            return Err(InvalidToken);
        }
        let user = claims.sub.parse().map_err(|_| InvalidToken)?;
        Ok(Identity { user, login: claims.sid, token_version: claims.ver })
    }
}

impl std::fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenKeys").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

fn derived(secret: &[u8], context: &[u8]) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104, section 3)")]
    let mac = Hmac::<Sha256>::new_from_slice(secret).expect("a key of any length");
    mac.chain_update(context).finalize().into_bytes().into()
}

/// The prefix of every personal access token.
pub const ACCESS_TOKEN_PREFIX: &str = "nbp_";
/// Hex digits at the end of a token that reveal a typing mistake.
const CHECKSUM_DIGITS: usize = 6;

/// Makes a personal access token: 256 random bits and a checksum. Only its hash is stored.
pub fn fresh_access_token() -> String {
    use base64::Engine;
    let bytes: [u8; 32] = rand::random();
    let random = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    format!("{ACCESS_TOKEN_PREFIX}{random}{}", checksum(&random))
}

/// Returns the hash that a personal access token is looked up by, if the token is well-formed.
pub fn access_token_hash(token: &str) -> Result<[u8; 32], InvalidToken> {
    let body = token.strip_prefix(ACCESS_TOKEN_PREFIX).ok_or(InvalidToken)?;
    let cut = body.len().checked_sub(CHECKSUM_DIGITS).ok_or(InvalidToken)?;
    match body.split_at_checked(cut) {
        Some((random, sum)) if random.len() == 43 && checksum(random) == sum => Ok(hash_of(token)),
        _ => Err(InvalidToken),
    }
}

fn checksum(random: &str) -> String {
    let digest = hash_of(random);
    digest.iter().take(CHECKSUM_DIGITS / 2).map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the hash of a token, which is stored and compared instead of the token.
pub fn hash_of(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// HMAC-SHA-256 as the JWT library's only algorithm: its built-in back ends add RSA and elliptic
/// curves.
#[derive(Clone)]
struct Hs256(Hmac<Sha256>);

impl Signer<Vec<u8>> for Hs256 {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        let mut mac = self.0.clone();
        mac.update(message);
        Ok(mac.finalize().into_bytes().to_vec())
    }
}

impl Verifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let mut mac = self.0.clone();
        mac.update(message);
        mac.verify_slice(signature).map_err(|_| signature::Error::new())
    }
}

impl JwtSigner for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

fn hs256(algorithm: Algorithm, family: AlgorithmFamily, key: &[u8]) -> Result<Hs256, Error> {
    if algorithm != Algorithm::HS256 || family != AlgorithmFamily::Hmac {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    Ok(Hs256(Hmac::new_from_slice(key).map_err(|_| Error::from(ErrorKind::InvalidKeyFormat))?))
}

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| Ok(Box::new(hs256(*algorithm, key.family(), key.as_bytes())?)),
    verifier_factory: |algorithm, key| {
        Ok(Box::new(hs256(*algorithm, key.family(), key.try_get_as_bytes()?)?))
    },
    key_utils: KeyUtils::new_unimplemented(),
};

fn install_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if PROVIDER.install_default().is_err() {
            tracing::debug!("a JWT provider is installed already");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    const ME: Identity = Identity { user: 7, login: 8, token_version: 9 };
    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

    fn now() -> i64 {
        jiff::Timestamp::now().as_second()
    }

    /// Returns a token with exactly this header and these claims, signed with the right secret.
    fn forged(header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
        mac.update(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }

    #[test]
    fn mistyped_access_token_fails_its_checksum() {
        let token = fresh_access_token();
        assert_eq!(access_token_hash(&token), Ok(hash_of(&token)));
        let mut slipped = token.clone().into_bytes();
        slipped[10] = if slipped[10] == b'x' { b'y' } else { b'x' };
        assert!(access_token_hash(std::str::from_utf8(&slipped).unwrap()).is_err());
        for bad in ["", "nbp_", "nbp_123456", &token[..token.len() - 1], &token[4..]] {
            assert!(access_token_hash(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn token_verifies_to_the_signed_identity() {
        let keys = TokenKeys::new(SECRET, 1);
        let token = keys.sign(ME, now(), 900).unwrap();
        assert_eq!(keys.verify(&token), Ok(ME));
    }

    #[test]
    fn tokens_of_another_secret_epoch_or_time_are_refused() {
        let keys = TokenKeys::new(SECRET, 1);
        let token = keys.sign(ME, now(), 900).unwrap();
        assert!(TokenKeys::new(b"another secret of 32 bytes length", 1).verify(&token).is_err());
        assert!(TokenKeys::new(SECRET, 2).verify(&token).is_err());
        assert!(keys.verify(&keys.sign(ME, now() - 1000, 900).unwrap()).is_err());
        assert!(keys.verify(&token[..token.len() - 2]).is_err());
        assert!(keys.verify("").is_err());
        assert!(keys.verify(&"x".repeat(5000)).is_err());
    }

    #[test]
    fn signed_token_with_bad_header_or_claims_is_refused() {
        let keys = TokenKeys::new(SECRET, 1);
        let head = r#"{"alg":"HS256","typ":"JWT"}"#;
        let iat = now();
        let claims = |exp: &str, aud: &str, iss: &str| {
            format!(
                r#"{{"iss":"{iss}","aud":"{aud}","sub":"7","iat":{iat},"jti":"x","sid":8,"ver":9,"epoch":1{exp}}}"#
            )
        };
        let good = format!(",\"exp\":{}", now() + 900);
        assert_eq!(keys.verify(&forged(head, &claims(&good, "netbit", "netbit"))), Ok(ME), "the forge works");
        for exp in [
            "",
            ",\"exp\":\"9999999999\"",
            ",\"exp\":-1",
            ",\"exp\":null",
            ",\"exp\":0",
            ",\"exp\":9223372036854775807",
        ] {
            assert!(keys.verify(&forged(head, &claims(exp, "netbit", "netbit"))).is_err(), "{exp}");
        }
        assert!(keys.verify(&forged(head, &claims(&good, "other", "netbit"))).is_err());
        assert!(keys.verify(&forged(head, &claims(&good, "netbit", "other"))).is_err());
        for alg in
            [r#"{"alg":"none"}"#, r#"{"alg":"HS512"}"#, r#"{"alg":"RS256"}"#, r#"{"alg":"HS256","kid":"x"}"#]
        {
            assert!(keys.verify(&forged(alg, &claims(&good, "netbit", "netbit"))).is_err(), "{alg}");
        }
        let unsigned = forged(head, &claims(&good, "netbit", "netbit"));
        assert!(keys.verify(unsigned.rsplit_once('.').unwrap().0).is_err());
    }
}
