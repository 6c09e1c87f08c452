//! What follows an exit that nobody requested: done, restarted (when), or given up.

use crate::model::{Exit, Failure, Millis, RestartPolicy, RestartWhen};

/// So many unstable starts in a row are followed by another one at once; a stable run makes them new. A few ends in a
/// minute are no crash loop, and waiting for what would be well again costs more than a few starts too many.
pub const RESTARTS_AT_ONCE: u32 = 5;
/// The longest wait between two starts.
const DELAY_MAX: Millis = Millis::seconds(60);

/// What passes is often over at once: a program that is just being written, an anchor that is being replaced.
const RETRY_MIN: Millis = Millis(50);
const RETRY_MAX: Millis = Millis::seconds(5);

/// What follows an exit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The policy calls this exit the end of the work.
    Done,
    /// Start again after this wait; `unstable` is the new count of unstable starts in a row.
    Again {
        /// The wait.
        delay: Millis,
        /// Unstable starts in a row, this one included.
        unstable: u32,
    },
    /// Not again by itself.
    GiveUp(Failure),
}

/// Evaluates one exit.
///
/// A start is stable when it lived for `min_uptime`, and at least as long as the wait before it (else a
/// growing wait would reset itself). After [`RESTARTS_AT_ONCE`] unstable starts in a row the time from one start to the
/// next grows by half each time, up to one minute, spread by up to a tenth so that apps that fell together do not rise
/// together; what the process lived of it need not be waited. `seed` decides the spread: the same seed gives the same
/// wait.
pub fn after_exit(
    policy: &RestartPolicy,
    exit: Exit,
    uptime: Millis,
    last_delay: Millis,
    unstable: u32,
    seed: u64,
) -> Verdict {
    let is_wanted_again = match policy.restart {
        RestartWhen::Always => true,
        RestartWhen::OnFailure => !exit.is_success(),
        RestartWhen::Never => false,
    };
    if policy.is_done(exit) {
        return Verdict::Done;
    }
    if !is_wanted_again {
        return Verdict::GiveUp(Failure::Exited { exit });
    }
    again(policy, exit, None, uptime, last_delay, unstable, seed)
}

/// Evaluates a process that was stopped because it was unhealthy; `failure` says why, `exit` how it then ended. Whatever its
/// exit code, that was no success.
pub fn after_trouble(
    policy: &RestartPolicy,
    failure: Failure,
    exit: Exit,
    uptime: Millis,
    last_delay: Millis,
    unstable: u32,
    seed: u64,
) -> Verdict {
    match policy.restart {
        RestartWhen::Never => Verdict::GiveUp(failure),
        RestartWhen::Always | RestartWhen::OnFailure => {
            again(policy, exit, Some(failure), uptime, last_delay, unstable, seed)
        }
    }
}

fn again(
    policy: &RestartPolicy,
    exit: Exit,
    trouble: Option<Failure>,
    uptime: Millis,
    last_delay: Millis,
    unstable: u32,
    seed: u64,
) -> Verdict {
    let unstable = if uptime >= policy.min_uptime.max(last_delay) { 0 } else { unstable.saturating_add(1) };
    match policy.max_restarts {
        Some(limit) if unstable > 0 && unstable >= limit => {
            let trouble = trouble.map(Box::new);
            Verdict::GiveUp(Failure::TooManyRestarts { starts: unstable, exit, trouble })
        }
        _ => Verdict::Again { delay: delay(policy, uptime, unstable, seed), unstable },
    }
}

/// How long until a start is tried again that failed for something that passes; `last` is the wait before, 0 = none.
pub fn retry_delay(last: Millis) -> Millis {
    Millis((last.0 + last.0 / 2).clamp(RETRY_MIN.0, RETRY_MAX.0))
}

fn delay(policy: &RestartPolicy, uptime: Millis, unstable: u32, seed: u64) -> Millis {
    if policy.restart_delay.0 > 0 {
        return policy.restart_delay;
    }
    let Some(steps) = unstable.saturating_sub(RESTARTS_AT_ONCE).checked_sub(1) else { return Millis(0) };
    let mut between = policy.exp_backoff_restart_delay.0;
    for _ in 0..steps.min(64) {
        between = (between + between / 2).min(DELAY_MAX.0);
    }
    let spread = between / 10;
    let between = between - spread / 2 + if spread == 0 { 0 } else { mixed(seed) % (spread + 1) };
    Millis(between.min(DELAY_MAX.0).saturating_sub(uptime.0))
}

/// Spreads neighbouring seeds over the whole range (the finaliser of splitmix64).
fn mixed(seed: u64) -> u64 {
    let mut value = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Bytes;

    fn policy() -> RestartPolicy {
        RestartPolicy::default()
    }

    fn again(delay: u64, unstable: u32) -> Verdict {
        Verdict::Again { delay: Millis(delay), unstable }
    }

    /// The waits of an app that is ended every time after `uptime`.
    fn waits(uptime: Millis, times: usize) -> Vec<u64> {
        let (mut last_delay, mut count, mut waits) = (Millis(0), 0, Vec::new());
        while waits.len() < times {
            let Verdict::Again { delay, unstable } =
                after_exit(&policy(), Exit::Signal(9), uptime, last_delay, count, waits.len() as u64)
            else {
                panic!("must start again");
            };
            (last_delay, count) = (delay, unstable);
            waits.push(delay.0);
        }
        waits
    }

    #[test]
    fn a_few_kills_in_a_row_are_no_crash_loop() {
        assert_eq!(waits(Millis(1200), 10), [0; 10], "ten kills, 1.2 s apart");
        let storm = waits(Millis(0), 30);
        assert_eq!(storm[..5], [0; 5]);
        assert!((90..=110).contains(&storm[5]), "{storm:?}");
        assert!(storm[5..].is_sorted_by(|a, b| b * 10 >= a * 9), "{storm:?}");
        assert!(storm[29] > 50_000, "{storm:?}");
        // What lives for nine seconds again and again is a loop, too, only a slow one.
        let slow = waits(Millis::seconds(9), 40);
        assert!(slow[..10].iter().all(|wait| *wait == 0) && slow[39] > 40_000, "{slow:?}");
    }

    #[test]
    fn a_restart_is_immediate_and_a_stable_run_forgets_the_past() {
        let soon = after_exit(&policy(), Exit::Code(1), Millis(5), Millis(0), 0, 1);
        assert_eq!(soon, again(0, 1));
        let stable = after_exit(&policy(), Exit::Code(1), Millis::seconds(11), Millis(0), 7, 1);
        assert_eq!(stable, again(0, 0));
    }

    #[test]
    fn a_wait_longer_than_min_uptime_is_not_reset_by_a_run_shorter_than_itself() {
        let verdict = after_exit(&policy(), Exit::Code(1), Millis::seconds(20), Millis::seconds(40), 9, 1);
        assert!(matches!(verdict, Verdict::Again { unstable: 10, .. }), "{verdict:?}");
    }

    #[test]
    fn the_wait_grows_by_half_and_ends_at_a_minute() {
        let mut last = 0;
        for unstable in 1..50 {
            let Verdict::Again { delay, .. } = after_exit(&policy(), Exit::Code(1), Millis(0), Millis(0), unstable, 3)
            else {
                panic!("must start again");
            };
            assert!(delay.0 * 10 >= last * 9, "{unstable}: {delay:?} after {last}");
            assert!(delay <= DELAY_MAX);
            last = delay.0;
        }
        assert!(last > 50_000, "{last}");
    }

    #[test]
    fn done_given_up_or_again_is_the_policys_word() {
        let on_failure = RestartPolicy { restart: RestartWhen::OnFailure, ..policy() };
        let never = RestartPolicy { restart: RestartWhen::Never, ..policy() };
        let listed = RestartPolicy { stop_exit_codes: vec![3], ..policy() };
        let limited = RestartPolicy { max_restarts: Some(3), ..policy() };
        let judge =
            |policy: &RestartPolicy, exit, unstable| after_exit(policy, exit, Millis(0), Millis(0), unstable, 0);
        assert_eq!(judge(&on_failure, Exit::Code(0), 0), Verdict::Done);
        assert_eq!(judge(&on_failure, Exit::Code(2), 0), again(0, 1));
        assert_eq!(judge(&on_failure, Exit::Signal(9), 0), again(0, 1));
        assert_eq!(judge(&never, Exit::Code(0), 0), Verdict::Done);
        assert_eq!(judge(&never, Exit::Code(1), 0), Verdict::GiveUp(Failure::Exited { exit: Exit::Code(1) }));
        assert_eq!(judge(&listed, Exit::Code(3), 0), Verdict::Done);
        assert_eq!(judge(&listed, Exit::Signal(3), 0), again(0, 1));
        assert!(matches!(judge(&limited, Exit::Code(1), 1), Verdict::Again { .. }));
        assert_eq!(
            judge(&limited, Exit::Code(1), 2),
            Verdict::GiveUp(Failure::TooManyRestarts { starts: 3, exit: Exit::Code(1), trouble: None })
        );
    }

    #[test]
    fn what_is_given_up_because_it_was_no_good_says_so_and_not_how_it_ended() {
        let limited = RestartPolicy { max_restarts: Some(2), ..policy() };
        for (failure, words) in [
            (Failure::Unhealthy { why: "HTTP 503".into() }, "stopped as unhealthy: HTTP 503"),
            (
                Failure::OverMemory { used: Bytes(80 << 20), limit: Bytes(60 << 20) },
                "over its memory limit: 80M of 60M",
            ),
        ] {
            let verdict = after_trouble(&limited, failure, Exit::Code(0), Millis(0), Millis(0), 1, 0);
            let Verdict::GiveUp(failure) = verdict else { panic!("{verdict:?}") };
            let text = failure.to_string();
            assert!(text.starts_with("gave up after 2 unstable starts") && text.ends_with(words), "{text}");
        }
    }
}
