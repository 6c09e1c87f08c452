//! When a probe is repeated.

use crate::model::{InstanceId, Millis};

/// The shortest time between two tries.
const SHORTEST: Millis = Millis(10);
/// The same for a probe that starts a process.
const SHORTEST_COMMAND: Millis = Millis(50);
/// Health is asked at multiples of this.
const TOGETHER: Millis = Millis(100);
/// So many may be tried at the shortest pace; more of them share it.
const AT_FULL_PACE: u64 = 32;

/// The time to the next try of a process that is not ready after `elapsed`: short in its first seconds, so that
/// nobody waits for us, then up to `interval`. `waiting` = how many processes are tried currently.
pub fn next_try(elapsed: Millis, interval: Millis, is_command: bool, waiting: usize) -> Millis {
    let pace = if is_command { SHORTEST_COMMAND.0.max(elapsed.0 / 20) } else { SHORTEST.0.max(elapsed.0 / 200) };
    let crowd = u64::try_from(waiting).unwrap_or(u64::MAX).div_ceil(AT_FULL_PACE).max(1);
    Millis(pace.saturating_mul(crowd).min(interval.0).max(1))
}

/// Where in an interval the probes of an instance stand: the same place always, another one than most of its
/// neighbours', and a multiple of a tenth of a second, so that one waking serves several.
pub fn offset_in_interval(instance: &InstanceId, interval: Millis) -> Millis {
    let digest = crate::model::Digest::of(instance.to_string().as_bytes());
    let part = digest.0.iter().take(4).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let offset = u64::try_from((u128::from(interval.0) * u128::from(part)) >> 32).unwrap_or(0);
    Millis(offset - offset % TOGETHER.0)
}

/// The next moment after `now` at which an instance with this offset is asked; both since a common beginning.
pub fn next_in_interval(now: Millis, interval: Millis, offset: Millis) -> Millis {
    let interval = interval.0.max(1);
    let into = (now.0 % interval + interval - offset.0 % interval) % interval;
    Millis(now.0.saturating_add(interval - into))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_close_at_first_and_never_further_apart_than_the_interval() {
        let hundred = Millis(100);
        for (elapsed, interval, is_command, waiting, expected) in [
            (0, hundred, false, 1, 10),
            (3000, hundred, false, 1, 15),
            (10_000, hundred, false, 1, 50),
            (60_000, hundred, false, 1, 100),
            (0, hundred, false, 64, 20),
            (0, hundred, false, 10_000, 100),
            (0, Millis(5), false, 1, 5),
            (0, hundred, true, 1, 50),
            (1500, hundred, true, 1, 75),
            (60_000, Millis::seconds(5), true, 1, 3000),
        ] {
            assert_eq!(
                next_try(Millis(elapsed), interval, is_command, waiting),
                Millis(expected),
                "{elapsed} {waiting}"
            );
        }
    }

    #[test]
    fn the_probes_of_a_thousand_instances_are_spread_over_the_interval() {
        let app: crate::model::AppId = "shop:api".parse().unwrap();
        let mut tenths = [0_u32; 10];
        for slot in 0..1000 {
            let offset = offset_in_interval(&app.instance(slot), Millis(1000));
            assert_eq!(offset.0 % 100, 0);
            tenths[usize::try_from(offset.0 / 100).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|count| (60..150).contains(count)), "{tenths:?}");
    }

    #[test]
    fn the_next_place_in_the_interval_is_always_ahead() {
        for (now, interval, offset, expected) in [
            (0, 1000, 300, 300),
            (299, 1000, 300, 300),
            (300, 1000, 300, 1300),
            (301, 1000, 300, 1300),
            (5000, 1000, 0, 6000),
            (7, 5, 0, 10),
            (7, 0, 0, 8),
            (7, 100, 900, 100),
        ] {
            let next = next_in_interval(Millis(now), Millis(interval), Millis(offset));
            assert_eq!(next, Millis(expected), "{now} {interval} {offset}");
        }
    }
}
