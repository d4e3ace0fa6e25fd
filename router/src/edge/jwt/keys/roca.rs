//! RSA moduli that can be factored because a widely used chip made their primes by a formula (CVE-2017-15361, "ROCA"; Nemec
//! et al., "The Return of Coppersmith's Attack", 2017, section 5). They are of any size, so that no rule on sizes finds them.

/// Primes from which the formula shows. A modulus from elsewhere has it by chance for all of them once in 2^27.
const PRIMES: [u64; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109,
    113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// What the chip raises to powers.
const GENERATOR: u64 = 65_537;

/// Whether the big-endian modulus is, modulo every one of the primes, a power of 65537.
pub(super) fn is_weak(modulus: &[u8]) -> bool {
    PRIMES.iter().all(|prime| is_power(remainder(modulus, *prime), *prime))
}

fn remainder(modulus: &[u8], prime: u64) -> u64 {
    modulus.iter().fold(0, |rest, byte| (rest * 256 + u64::from(*byte)) % prime)
}

fn is_power(value: u64, prime: u64) -> bool {
    let mut power = 1;
    // There are no more powers than numbers below the prime.
    (1..prime).any(|_| {
        power = power * GENERATOR % prime;
        power == value
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_the_generator_are_weak_and_their_neighbours_are_not() {
        let mut power = 1_u128;
        for exponent in 1..8 {
            power *= u128::from(GENERATOR);
            assert!(is_weak(&power.to_be_bytes()), "65537^{exponent}");
            for other in [power - 1, power + 1, power + 2, power * 2, power * 3] {
                assert!(!is_weak(&other.to_be_bytes()), "{other}");
            }
        }
    }

    #[test]
    fn powers() {
        for (value, prime, expect) in
            [(1, 3, true), (2, 3, true), (0, 3, false), (1, 11, true), (10, 11, true), (2, 11, false)]
        {
            assert_eq!(is_power(value, prime), expect, "{value} mod {prime}");
        }
    }
}
