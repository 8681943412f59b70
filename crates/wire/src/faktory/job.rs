//! A job as a producer writes it, and the text that is kept of it.

use std::borrow::Cow;

use super::json::{Scanner, unescaped};
use super::refusal::{Refusal, shown};
use super::request::MOST_AT_ONCE;
use super::stamp;

/// Largest text of one job, in bytes.
pub const LARGEST_JOB: usize = 1 << 20;
/// Shortest identifier of a job, in bytes.
pub const SHORTEST_JID: usize = 8;
/// Longest identifier of a job, name of a type and name of a queue, in bytes.
pub const LONGEST_NAME: usize = 255;
/// Seconds for which a job is reserved unless it says.
pub const RESERVE_FOR: u32 = 1800;
/// Most seconds for which a job can be reserved.
pub const LONGEST_RESERVE_FOR: u32 = 86_400;
/// Retries of a job unless it says.
pub const RETRIES: i32 = 25;
/// Most lines of a backtrace that are kept.
pub const MOST_BACKTRACE: u32 = 50;
/// The queue of a job that names none.
pub const DEFAULT_QUEUE: &str = "default";

/// A job that can be taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job<'a> {
    /// Its identifier.
    pub jid: Cow<'a, str>,
    /// Its type.
    pub kind: Cow<'a, str>,
    /// Its queue.
    pub queue: Cow<'a, str>,
    /// Seconds for which a worker may keep it.
    pub reserve_for: u32,
    /// Failures that are tried again; 0 throws it away at the first one, below 0 it is dead then.
    pub retry: i32,
    /// Lines of a failure's backtrace to keep.
    pub backtrace: u32,
    /// When it is due, in nanoseconds since 1970.
    pub at: Option<u64>,
    /// The job's text to keep: as it came, without what only the server may say, with what it left out.
    pub text: Vec<u8>,
}

impl<'a> Job<'a> {
    /// Reads the text of one job that came at `now`, in nanoseconds since 1970.
    ///
    /// Members that the server does not know stay, numbers of any size as they are.
    ///
    /// # Errors
    /// What is wrong with it, in the words that other servers of this protocol use.
    pub fn read(text: &'a str, now: u64) -> Result<Self, Refusal> {
        if text.len() > LARGEST_JOB {
            return Err(Refusal::error(format!(
                "job is too large: {} bytes, at most {LARGEST_JOB} are taken",
                text.len()
            )));
        }
        let mut draft = Draft::default();
        let mut scanner = Scanner::object(text)?;
        while let Some(member) = scanner.member()? {
            draft.member(&member.name, member.value, member.whole)?;
        }
        draft.finish(now)
    }
}

/// What is known so far.
#[derive(Default)]
struct Draft<'a> {
    jid: Option<Cow<'a, str>>,
    kind: Option<Cow<'a, str>>,
    queue: Option<Cow<'a, str>>,
    args: bool,
    reserve_for: Option<u32>,
    retry: Option<i32>,
    backtrace: Option<u32>,
    at: Option<u64>,
    created: bool,
    custom: bool,
    text: Vec<u8>,
}

impl<'a> Draft<'a> {
    fn member(&mut self, name: &str, value: &'a str, whole: &str) -> Result<(), Refusal> {
        let is_null = value == "null";
        match name {
            // Only the server knows these; leases are given with a fetch.
            "enqueued_at" | "failure" | "lease" => return Ok(()),
            "reserve_for" | "retry" | "backtrace" | "at" | "custom" | "created_at" | "queue" if is_null => {
                return Ok(());
            }
            "jid" => set(&mut self.jid, string(name, value)?, name)?,
            "jobtype" => set(&mut self.kind, string(name, value)?, name)?,
            "queue" => {
                let queue = string(name, value)?;
                if queue.is_empty() {
                    return Ok(());
                }
                set(&mut self.queue, queue, name)?;
            }
            "args" => {
                if is_null {
                    return Ok(());
                }
                if !value.starts_with('[') {
                    return Err(Refusal::error("args must be an array"));
                }
                once(&mut self.args, name)?;
            }
            "custom" => {
                if !value.starts_with('{') {
                    return Err(Refusal::error("custom must be an object"));
                }
                once(&mut self.custom, name)?;
            }
            "reserve_for" => {
                let seconds = integer(name, value)?;
                if seconds > i64::from(LONGEST_RESERVE_FOR) {
                    return Err(Refusal::error("jobs cannot be reserved for more than one day"));
                }
                if seconds < 0 {
                    return Err(Refusal::error("reserve_for cannot be negative"));
                }
                if seconds == 0 {
                    return Ok(());
                }
                set(&mut self.reserve_for, u32::try_from(seconds).unwrap_or(LONGEST_RESERVE_FOR), name)?;
            }
            "retry" => set(&mut self.retry, saturated(integer(name, value)?), name)?,
            "backtrace" => {
                let lines = integer(name, value)?.clamp(0, i64::from(MOST_BACKTRACE));
                set(&mut self.backtrace, u32::try_from(lines).unwrap_or(MOST_BACKTRACE), name)?;
            }
            "at" => {
                let at = string(name, value)?;
                if at.is_empty() {
                    return Ok(());
                }
                let moment = stamp::parse(&at).ok_or_else(|| {
                    Refusal::error(format!("invalid timestamp for 'at': {} is no RFC 3339 time", shown(&at)))
                })?;
                set(&mut self.at, moment, name)?;
            }
            "created_at" => {
                if string(name, value)?.is_empty() {
                    return Ok(());
                }
                once(&mut self.created, name)?;
            }
            _ => {}
        }
        self.keep(whole);
        Ok(())
    }

    fn keep(&mut self, whole: &str) {
        self.text.push(if self.text.is_empty() { b'{' } else { b',' });
        self.text.extend_from_slice(whole.as_bytes());
    }

    fn finish(mut self, now: u64) -> Result<Job<'a>, Refusal> {
        let jid = self.jid.take().filter(|jid| jid.len() >= SHORTEST_JID);
        let jid = jid.ok_or_else(|| Refusal::error("jobs must have a reasonable jid parameter"))?;
        let kind = self.kind.take().filter(|kind| !kind.is_empty());
        let kind = kind.ok_or_else(|| Refusal::error("jobs must have a jobtype parameter"))?;
        if !self.args {
            return Err(Refusal::error("jobs must have an args parameter"));
        }
        for (what, name) in [("jid", &jid), ("jobtype", &kind)] {
            if name.len() > LONGEST_NAME {
                return Err(Refusal::error(format!(
                    "{what} has {} bytes, at most {LONGEST_NAME} are taken",
                    name.len()
                )));
            }
        }
        let queue = match self.queue.take() {
            Some(queue) => queue,
            None => {
                self.keep("\"queue\":\"default\"");
                Cow::Borrowed(DEFAULT_QUEUE)
            }
        };
        check_queue(&queue)?;
        if self.retry.is_none() {
            self.keep("\"retry\":25");
        }
        if !self.created {
            self.keep("\"created_at\":\"");
            stamp::write(now, &mut self.text);
            self.text.push(b'"');
        }
        self.text.push(b'}');
        Ok(Job {
            jid,
            kind,
            queue,
            reserve_for: self.reserve_for.unwrap_or(RESERVE_FOR),
            retry: self.retry.unwrap_or(RETRIES),
            backtrace: self.backtrace.unwrap_or(0),
            at: self.at,
            text: self.text,
        })
    }
}

/// The texts of the jobs of a `PUSHB`, none of them read yet.
///
/// # Errors
/// When the text is no JSON array, or has too many items.
pub fn jobs(text: &str) -> Result<Vec<&str>, Refusal> {
    let mut jobs = Vec::new();
    let mut scanner = Scanner::array(text)?;
    while let Some(job) = scanner.item()? {
        if jobs.len() == MOST_AT_ONCE {
            return Err(Refusal::error(format!("at most {MOST_AT_ONCE} jobs are taken at once")));
        }
        jobs.push(job);
    }
    Ok(jobs)
}

/// The identifier in the text of a job that was refused; empty where it has none.
pub fn jid_of(text: &str) -> Cow<'_, str> {
    let Ok(mut scanner) = Scanner::object(text) else { return Cow::Borrowed("") };
    while let Ok(Some(member)) = scanner.member() {
        if member.name == "jid" {
            return unescaped(member.value, 0).unwrap_or_default();
        }
    }
    Cow::Borrowed("")
}

/// Refuses a name that no queue can have.
///
/// # Errors
/// What names may be.
pub fn check_queue(name: &str) -> Result<(), Refusal> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(allowed) {
        return Err(Refusal::error(format!(
            "queue names have 1 to {LONGEST_NAME} characters of a-z, A-Z, 0-9, `.`, `_` and `-`, not {}",
            shown(name)
        )));
    }
    Ok(())
}

fn set<T>(place: &mut Option<T>, value: T, name: &str) -> Result<(), Refusal> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(twice(name)),
    }
}

fn once(place: &mut bool, name: &str) -> Result<(), Refusal> {
    if std::mem::replace(place, true) { Err(twice(name)) } else { Ok(()) }
}

fn twice(name: &str) -> Refusal {
    Refusal::error(format!("a job has `{name}` only once"))
}

fn string<'a>(name: &str, value: &'a str) -> Result<Cow<'a, str>, Refusal> {
    if !value.starts_with('"') {
        return Err(Refusal::error(format!("{name} must be a string, not {}", shown(value))));
    }
    Ok(unescaped(value, 0)?)
}

fn integer(name: &str, value: &str) -> Result<i64, Refusal> {
    value.parse().map_err(|_| Refusal::error(format!("{name} must be a whole number, not {}", shown(value))))
}

fn saturated(number: i64) -> i32 {
    i32::try_from(number).unwrap_or(if number < 0 { -1 } else { i32::MAX })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_796_083_200_000_000_000;

    fn text(job: &Job<'_>) -> String {
        String::from_utf8(job.text.clone()).expect("text")
    }

    #[test]
    fn what_is_left_out_is_filled_in_and_what_is_there_stays() {
        let job =
            Job::read(r#"{"jid":"12345678","jobtype":"Mail","args":[ 9223372036854775807123, 1.10 ],"x":null}"#, NOW)
                .expect("job");
        assert_eq!(
            text(&job),
            r#"{"jid":"12345678","jobtype":"Mail","args":[ 9223372036854775807123, 1.10 ],"x":null,"queue":"default","retry":25,"created_at":"2026-12-01T00:00:00.000000Z"}"#
        );
        assert_eq!((job.reserve_for, job.retry, job.backtrace, job.at), (1800, 25, 0, None));
        let given = r#"{"jid":"12345678","jobtype":"Mail","args":[],"queue":"a.b_C-9","retry":-1,"reserve_for":60,"backtrace":12,"at":"2026-12-01T00:00:01Z","created_at":"then","custom":{"a":1}}"#;
        let job = Job::read(given, NOW).expect("job");
        assert_eq!(text(&job), given);
        assert_eq!((job.reserve_for, job.retry, job.backtrace), (60, -1, 12));
        assert_eq!(job.at, Some(NOW + 1_000_000_000));
    }

    #[test]
    fn what_only_the_server_says_is_taken_out() {
        let job = Job::read(
            r#"{"enqueued_at":"x","failure":{"retry_count":3},"lease":7,"jid":"12345678","jobtype":"M","args":[],"retry":null,"reserve_for":0,"at":""}"#,
            NOW,
        )
        .expect("job");
        assert_eq!(
            text(&job),
            r#"{"jid":"12345678","jobtype":"M","args":[],"queue":"default","retry":25,"created_at":"2026-12-01T00:00:00.000000Z"}"#
        );
    }

    #[test]
    fn each_fault_has_its_words() {
        for (member, words) in [
            (r#""jid":"short""#, "jobs must have a reasonable jid parameter"),
            (r#""jid":5"#, "jid must be a string, not `5`"),
            (r#""jobtype":"""#, "jobs must have a jobtype parameter"),
            (r#""args":null"#, "jobs must have an args parameter"),
            (r#""args":{}"#, "args must be an array"),
            (r#""custom":[]"#, "custom must be an object"),
            (r#""reserve_for":86401"#, "jobs cannot be reserved for more than one day"),
            (r#""reserve_for":-1"#, "reserve_for cannot be negative"),
            (r#""retry":1.5"#, "retry must be a whole number, not `1.5`"),
            (r#""retry":99999999999999999999"#, "retry must be a whole number, not `99999999999999999999`"),
            (r#""at":"tomorrow""#, "invalid timestamp for 'at': `tomorrow` is no RFC 3339 time"),
            (r#""x":1,"args":[]"#, "a job has `args` only once"),
        ] {
            let name = member.split('"').nth(1).expect("name");
            let rest: Vec<&str> = [r#""jid":"12345678""#, r#""jobtype":"M""#, r#""args":[]"#]
                .into_iter()
                .filter(|other| !other.contains(&format!("\"{name}\"")))
                .collect();
            let refused = Job::read(&format!("{{{member},{}}}", rest.join(",")), NOW).expect_err(member);
            assert_eq!(refused.text, words, "{member}");
        }
        for queue in ["a b", "a/b", "é", "*", &"q".repeat(256)] {
            let came = format!(r#"{{"jid":"12345678","jobtype":"M","args":[],"queue":"{queue}"}}"#);
            let refused = Job::read(&came, NOW).expect_err(queue);
            assert!(refused.text.starts_with("queue names have"), "{queue}");
        }
        for text in ["", "7", "[]", "null", "{", "{}}", "{\"jid\"}", "\u{0}"] {
            assert!(Job::read(text, NOW).is_err(), "{text}");
        }
    }

    #[test]
    fn bulks_are_taken_apart() {
        assert_eq!(jobs(r#" [ {"a":[1,2]} ,7, {} ] "#), Ok(vec![r#"{"a":[1,2]}"#, "7", "{}"]));
        assert_eq!(jobs("[]"), Ok(Vec::new()));
        for text in ["", "{}", "[1,]", "[1 2]", "[1]]", "[{]"] {
            assert!(jobs(text).is_err(), "{text}");
        }
        assert!(jobs(&format!("[{}0]", "0,".repeat(MOST_AT_ONCE - 1))).is_ok());
        assert!(jobs(&format!("[{}0]", "0,".repeat(MOST_AT_ONCE))).is_err());
        assert_eq!(jid_of(r#"{"args":1,"jid":"a\"b"}"#), "a\"b");
        assert_eq!((jid_of("7"), jid_of(r#"{"jid":7}"#)), (Cow::Borrowed(""), Cow::Borrowed("")));
    }

    proptest! {
        /// Arguments leave as they came, byte for byte, and what is kept is JSON.
        #[test]
        fn args_stay_byte_for_byte(numbers in prop::collection::vec("-?[1-9][0-9]{0,30}(\\.[0-9]{1,5})?", 0..5), word in "[a-zA-Z0-9 é\\\\n]{0,9}") {
            let args = format!("[ {} ]", numbers.join(" ,"));
            let word = word.replace('\\', "\\\\");
            let came = format!(r#"{{"args":{args},"jid":"12345678","custom":{{"w":"{word}"}},"jobtype":"M"}}"#);
            let job = Job::read(&came, NOW).expect("job");
            let kept = text(&job);
            let wanted = format!("\"args\":{args}");
            prop_assert!(kept.contains(&wanted));
            prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&kept).is_ok(), "{}", kept);
        }

        #[test]
        fn any_text_is_read_or_refused(came in "\\PC{0,80}") {
            let _ = Job::read(&came, NOW);
        }
    }
}
