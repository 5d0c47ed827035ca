//! The numbers of variable length in a pack (gitformat-pack): sizes and offsets.

use super::PackError;

/// Maximum length of a variable-length size or offset: 7 bits per byte, 64 bits in total.
pub(super) const VARINT_BYTES_MAX: usize = 10;

/// The sizes at the beginning of a delta.
#[derive(Debug, Clone, Copy)]
pub(super) struct DeltaSizes {
    pub(super) base: u64,
    pub(super) result: u64,
}

impl DeltaSizes {
    /// Returns `None` while the sizes are incomplete.
    pub(super) fn read(bytes: &[u8]) -> Result<Option<Self>, PackError> {
        let Some(length) = varint_bytes(bytes)? else { return Ok(None) };
        let (base, rest) = bytes.split_at_checked(length).ok_or(PackError::Malformed)?;
        let Some(length) = varint_bytes(rest)? else { return Ok(None) };
        let result = rest.get(..length).ok_or(PackError::Malformed)?;
        let sizes = (little_endian(base, 0), little_endian(result, 0));
        let (Some(base), Some(result)) = sizes else { return Err(PackError::Malformed) };
        Ok(Some(Self { base, result }))
    }
}

/// Returns the length of a number in groups of 7 bits, of which the last lacks the high bit; `None`
/// if it is incomplete.
pub(super) fn varint_bytes(bytes: &[u8]) -> Result<Option<usize>, PackError> {
    match bytes.iter().position(|byte| byte & 0x80 == 0) {
        Some(last) if last < VARINT_BYTES_MAX => Ok(Some(last + 1)),
        None if bytes.len() < VARINT_BYTES_MAX => Ok(None),
        _ => Err(PackError::Malformed),
    }
}

/// Decodes a number in groups of 7 bits, lowest first, shifted left by `shift`; `None` on overflow
/// of 64 bits.
pub(super) fn little_endian(groups: &[u8], shift: u32) -> Option<u64> {
    let mut number = 0u64;
    let mut shift = shift;
    for byte in groups {
        let group = u64::from(byte & 0x7f);
        let placed = group.checked_shl(shift).filter(|placed| placed >> shift == group);
        number |= if group == 0 { 0 } else { placed? };
        shift = shift.saturating_add(7);
    }
    Some(number)
}

/// Decodes the size in an entry header: 4 bits next to the type, then groups of 7 bits.
pub(super) fn entry_size(bytes: &[u8]) -> Option<u64> {
    let (first, rest) = bytes.split_first()?;
    Some(u64::from(first & 0x0f) | little_endian(rest, 4)?)
}

/// Returns the offset of the base of a delta. It is encoded as a distance backwards in groups of 7
/// bits, highest first; 1 is added before each further group.
pub(super) fn base_offset(entry: u64, groups: &[u8]) -> Option<u64> {
    let mut distance = 0u64;
    for (at, byte) in groups.iter().enumerate() {
        if at > 0 {
            distance = distance.checked_add(1)?.checked_mul(128)?;
        }
        distance = distance.checked_add(u64::from(byte & 0x7f))?;
    }
    entry.checked_sub(distance).filter(|_| distance > 0)
}
